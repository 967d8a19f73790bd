"""`verify` on both networks at full width, and on narrow variants and comparators, which `--all` widens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from frameworks.architectures import MODELS, network
from frameworks.errors import UnknownName
from frameworks.third_party.keras_layers import covers
from frameworks.weights import initial
from tests.analysis.reports import assert_within_tolerance, verified_networks
from tests.analysis.test_verify import UNEVEN
from xibench.analysis.checks import KERAS, OURS, compare_recipes
from xibench.analysis.forward import Arrays, seeded_inputs
from xibench.analysis.verify import verify, verify_networks
from xibench.analysis.verify_workers import Workers
from xibench.workers.messages import ForwardPass

WITH_AUXILIARY = {"auxiliary", "torchvision"}  # of Inception V3; train at 299 px, which is slow: tested separately
VERIFIED_ALONE = [("xception", "narrow"), ("inception_v3", "narrow"), UNEVEN]  # by tests/analysis/test_verify.py
COMBINED = [
    ("xception", "narrow+regular+dense"),
    ("xception", "narrow+segments_1+relu_between"),
    ("xception", "narrow+segments_2+elu_between+jft"),
    ("xception", "narrow+segments_4+no_residual+timm"),
    ("xception", "narrow+segments_8+jft_dense"),
    ("inception_v3", "narrow+batch_norm_scale+dense"),
    ("inception_v3", "narrow+border_included+jft"),
    ("inception_v3", "narrow+keras_2016+jft_dense"),
    ("resnet50", "narrow"),
    ("resnet101", "narrow+torchvision"),
    ("resnet152", "narrow"),
    ("vgg16", "narrow"),
]
"""Networks in which every registered variant is a part: most change other layers, so that one network shows several."""


def test_every_registered_variant_is_part_of_a_network_that_is_verified() -> None:
    for model, known in MODELS.items():
        parts = {part for name, variant in (*VERIFIED_ALONE, *COMBINED) if name == model for part in variant.split("+")}
        separate = WITH_AUXILIARY if model == "inception_v3" else set[str]()
        of_resnet = {"torchvision"} if model.startswith("resnet") else set[str]()  # one depth has it: the same layers
        assert set(known.variants) - {"default"} - separate - of_resnet <= parts, model

    # A part without an effect beside the others would not be verified.
    for model, variant in (*VERIFIED_ALONE, *COMBINED):
        parts_of = variant.split("+")
        for part in parts_of:
            without = "+".join(other for other in parts_of if other != part) or "default"
            assert network(model, variant).layers != network(model, without).layers, (model, variant, part)


@pytest.mark.longest
@pytest.mark.slow
def test_both_networks_are_equal_at_full_width_in_every_framework_the_reference_and_keras() -> None:
    """Compares each network at the smallest resolution of docs/method.md, and whole graphs of all recipes."""
    resolutions = {"xception": (71,), "inception_v3": (75,)}
    whole = verify_networks([(model, "default") for model in resolutions], resolutions)
    assert whole.ok
    assert whole.skipped == []
    for model in ("xception", "inception_v3"):
        found = [c for c in whole.checks if c.model == model]
        assert assert_within_tolerance(found) == {frozenset(pair) for pair in itertools.combinations((*OURS, KERAS), 2)}
    xception = [c for c in whole.checks if c.model == "xception"]
    inference = next(c for c in xception if c.what.startswith("inference") and c.precision == "fp64")
    training = next(c for c in xception if c.what.startswith("training") and c.right == "keras")
    assert set(inference.errors) == {*(f"block{i}" for i in range(1, 15)), "head"}
    assert "block9.sepconv2.bn.variance" in training.errors


@pytest.mark.longest
@pytest.mark.slow
def test_every_variant_is_verified() -> None:
    assert verified_networks(verify_networks(COMBINED)) == set(COMBINED)


@pytest.mark.longest
@pytest.mark.slow
def test_the_auxiliary_classifier_is_compared_in_training_mode_only() -> None:
    report = verify(["inception_v3"], ["narrow+torchvision"])
    assert verified_networks(report)
    training = next(c for c in report.checks if c.what.startswith("training"))
    assert "auxiliary" in training.errors
    assert "auxiliary.conv2.bn.mean" in training.errors
    inference = next(c for c in report.checks if c.what.startswith("inference"))
    assert "auxiliary" not in inference.errors


def test_inference_is_compared_at_the_small_size_and_training_at_one_that_an_auxiliary_classifier_takes() -> None:
    from xibench.analysis.verify import _variant

    asked: list[ForwardPass] = []

    class Recorder(Workers):
        def ask(
            self, names: Sequence[str], job: ForwardPass, block_inputs: Arrays | None = None
        ) -> dict[str, Arrays]:
            asked.append(job)
            ones = np.ones((1, 2, 2, 1))
            return {name: {"mixed_6e": ones, "head": ones[0, 0], "auxiliary": ones[0, 0]} for name in names}

    _variant("inception_v3", "torchvision", lambda line: None, Recorder((), Path()))
    assert {job.resolution for job in asked if not job.training} == {112}
    assert {job.resolution for job in asked if job.training} == {299}


def test_recipes_in_bf16_are_compared_under_the_weights_of_a_run() -> None:
    built = network("resnet50", "narrow", resolution=32)
    asked: list[tuple[ForwardPass, tuple[str, ...]]] = []

    class Recorder(Workers):
        def ask(
            self, names: Sequence[str], job: ForwardPass, block_inputs: Arrays | None = None
        ) -> dict[str, Arrays]:
            asked.append((job, tuple(names)))
            return {name: {built.layers[-1].name: np.full((2, 10), 1.0 + job.shifted)} for name in names}

    job = ForwardPass(model="resnet50", variant="narrow", resolution=32, precision="fp64")
    checks = compare_recipes(Recorder((), Path()), job, built)

    # The outputs of each precision meet the reference's for the same weights.
    assert {each.max_relative_error for each in checks} == {0.0}
    assert {each.shifted for each, names in asked if each.precision == "bf16"} == {False}
    assert {each.shifted for each, names in asked if each.precision == "fp32"} == {True}

    # Such weights are what a run samples, and the others are not.
    of_a_run = initial(built, seed=0)
    for shifted in (False, True):
        _, weights, _, _ = seeded_inputs(msgspec.structs.replace(job, shifted=shifted))
        same = [np.array_equal(weights[name], of_a_run[name]) for name in of_a_run]
        assert all(same) is not shifted


@pytest.mark.longest
@pytest.mark.slow
def test_comparators_are_compared_with_keras_applications() -> None:
    report = verify(["resnet50", "vgg16"])
    assert report.ok
    theirs = {(c.model, c.what) for c in report.checks if c.right == "keras"}
    at = ("inference at 112", "inference at 224", "training mode at 112")
    assert theirs == {(model, what) for model in ("resnet50", "vgg16") for what in at}


def test_a_variant_that_cannot_be_narrowed_is_compared_at_its_own_width() -> None:
    from xibench.analysis.verify import _narrowed

    assert _narrowed("xception", "segments=7") == "narrow+segments=7"
    assert _narrowed("xception", "segments=32") == "segments=32"
    assert _narrowed("xception", "segments_4+width=0.5") == "segments_4+width=0.5"


def test_only_networks_that_keras_has_are_compared_with_it() -> None:
    assert covers("resnet152", "default")
    assert not covers("resnet50", "torchvision")
    assert not covers("grouped", "default")


def test_an_unknown_variant_is_refused_before_any_process_starts() -> None:
    with pytest.raises(UnknownName, match="unknown variant of resnet50 'torchvison': did you mean torchvision"):
        verify(["resnet50"], ["torchvison"])


def test_an_unknown_variant_next_to_all_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown variant of resnet50 'typo'"):
        verify(["resnet50"], ["all", "typo"])
