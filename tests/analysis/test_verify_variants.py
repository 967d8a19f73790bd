"""Variants, comparators and operators in the proof of equality, narrow; `xibench verify --all` takes them whole."""

from __future__ import annotations

import pytest

from frameworks.architectures import MODELS
from frameworks.errors import UnknownName
from frameworks.third_party.keras_layers import covers
from tests.analysis.proofs import proven
from xibench.analysis.verify import prove, verify

WITH_AUXILIARY = ("auxiliary", "torchvision")  # only from 299 px on, and slow: one test of their own
NARROW = [
    (model, "narrow" if variant == "default" else f"narrow+{variant}")
    for model, known in MODELS.items()
    for variant in known.variants
    if variant != "narrow" and (model, variant) not in [("inception_v3", name) for name in WITH_AUXILIARY]
]


@pytest.mark.slow
def test_every_variant_is_proven() -> None:
    assert proven(prove(NARROW)) == set(NARROW)


@pytest.mark.slow
def test_the_auxiliary_classifier_is_part_of_training_mode() -> None:
    report = verify(["inception_v3"], ["narrow+torchvision"])
    assert proven(report)
    training = next(c for c in report.checks if c.what.startswith("training"))
    assert "auxiliary" in training.errors
    assert "auxiliary.conv2.bn.mean" in training.errors
    inference = next(c for c in report.checks if c.what.startswith("inference"))
    assert "auxiliary" not in inference.errors


@pytest.mark.slow
def test_comparators_are_held_against_keras_applications() -> None:
    report = verify(["resnet50", "vgg16"])
    assert report.ok
    theirs = {(c.model, c.what) for c in report.checks if c.right == "keras"}
    at = ("inference at 112", "inference at 224", "training mode at 112")
    assert theirs == {(model, what) for model in ("resnet50", "vgg16") for what in at}


def test_a_variant_that_cannot_be_narrowed_is_proven_as_it_is() -> None:
    from xibench.analysis.verify import _narrowed

    assert _narrowed("xception", "segments=7") == "narrow+segments=7"
    assert _narrowed("xception", "segments=32") == "segments=32"
    assert _narrowed("xception", "segments_4+width=0.5") == "segments_4+width=0.5"


def test_only_networks_that_keras_has_are_held_against_it() -> None:
    assert covers("resnet152", "default")
    assert not covers("resnet50", "torchvision")
    assert not covers("grouped", "default")


def test_an_unknown_variant_is_refused_before_any_process_starts() -> None:
    with pytest.raises(UnknownName, match="unknown variant of resnet50 'torchvison': did you mean torchvision"):
        verify(["resnet50"], ["torchvison"])


def test_every_of_several_variants_is_looked_at_beside_all() -> None:
    with pytest.raises(UnknownName, match="unknown variant of resnet50 'typo'"):
        verify(["resnet50"], ["all", "typo"])
