"""Variants, comparators and operators in the proof of equality, narrow; `xibench verify --all` takes them whole."""

from __future__ import annotations

import pytest

from frameworks.errors import UnknownName
from frameworks.runtime import FRAMEWORKS
from xibench.analysis.oracle import covers
from xibench.analysis.verify import Report, verify


def proven(report: Report) -> set[tuple[str, str]]:
    """What was compared in inference by all three frameworks in both precisions, if everything held."""
    assert report.ok, [c for c in report.checks if not c.ok]
    assert report.skipped == []
    pairs: dict[tuple[str, str, str], int] = {}
    for check in report.checks:
        if check.what.startswith("inference") and {check.left, check.right} <= set(FRAMEWORKS):
            key = (check.model, check.variant, check.precision)
            pairs[key] = pairs.get(key, 0) + 1
    assert all(count >= 3 for count in pairs.values())
    found = {(model, variant) for model, variant, _ in pairs}
    assert all((*one, precision) in pairs for one in found for precision in ("fp64", "fp32"))
    return found


def test_an_uneven_split_and_the_other_order_are_proven_in_training_mode_too() -> None:
    report = verify(["xception"], variants=["narrow+pointwise_first+segments_3"])
    assert proven(report) == {("xception", "narrow+pointwise_first+segments_3")}
    (training,) = {c.what for c in report.checks if c.what.startswith("training")}
    assert training == "training mode at 96"


def test_operators_are_proven() -> None:
    small = "channels=24+features=16+segments=3"
    names = ["grouped", "inception", "inception_segments", "spatially_separable"]
    assert proven(verify(names, variants=[small])) == {(name, small) for name in names}


@pytest.mark.slow
def test_ablations_heads_and_editions_are_proven() -> None:
    xception = ["narrow+segments_4", "narrow+no_residual+elu_between", "narrow+jft_dense"]
    assert proven(verify(["xception"], variants=xception)) == {("xception", v) for v in xception}
    assert proven(verify(["inception_v3"], variants=["narrow+keras_2016"]))
    assert proven(verify(["resnet50", "vgg16"], variants=["narrow"])) == {("resnet50", "narrow"), ("vgg16", "narrow")}


@pytest.mark.slow
def test_the_auxiliary_classifier_is_part_of_training_mode() -> None:
    report = verify(["inception_v3"], variants=["narrow+auxiliary"])
    assert proven(report)
    training = next(c for c in report.checks if c.what.startswith("training"))
    assert "auxiliary" in training.errors
    assert "auxiliary.conv2.bn.mean" in training.errors
    inference = next(c for c in report.checks if c.what.startswith("inference"))
    assert "auxiliary" not in inference.errors


@pytest.mark.slow
def test_a_comparator_is_held_against_keras_applications() -> None:
    report = verify(["resnet50"])
    assert report.ok
    theirs = {c.what for c in report.checks if c.right == "keras"}
    assert theirs == {"inference at 96", "inference at 224", "training mode at 96"}


def test_only_networks_that_keras_has_are_held_against_it() -> None:
    assert covers("resnet152", "default")
    assert not covers("resnet50", "torchvision")
    assert not covers("grouped", "default")


def test_an_unknown_variant_is_refused_before_any_process_starts() -> None:
    with pytest.raises(UnknownName, match="unknown variant of resnet50 'torchvison': did you mean torchvision"):
        verify(["resnet50"], variants=["torchvison"])
