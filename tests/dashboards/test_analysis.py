"""Costs and published accuracies of xibench.analysis, which the site shows."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from frameworks.published import VALIDATION_IMAGES
from xibench.analysis.costs import KINDS, comparison_resolutions, model_cost
from xibench.analysis.published_accuracy import published_accuracies, reference_accuracy


@pytest.mark.parametrize(
    ("model", "variant", "macs"),
    [
        ("xception", "default", 8_357_403_496), ("inception_v3", "default", 5_713_216_096),
        ("xception", "segments_4", 24_023_880_976), ("xception", "segments_3", 29_290_501_948),
    ],
)  # fmt: skip
def test_blocks_and_kinds_both_add_up_to_the_network(model: str, variant: str, macs: int) -> None:
    cost = model_cost(model, variant, 299)
    assert cost.macs == macs
    assert sum(block.macs for block in cost.blocks) == macs
    assert sum(cost.macs_of(kind) for kind in KINDS) == macs
    assert sum(block.parameters for block in cost.blocks) == cost.parameters_total


def test_costs_are_reported_at_the_comparison_resolutions_that_a_network_supports_and_its_own_last() -> None:
    assert comparison_resolutions("xception", "default") == (224, 299)
    assert comparison_resolutions("vgg16", "default") == (299, 224)
    assert comparison_resolutions("inception_v3", "torchvision") == (224, 299)
    assert comparison_resolutions("separable", "entry_64_128") == (147,)


def test_blocks_are_listed_in_execution_order() -> None:
    names = [block.name for block in model_cost("xception", "default", 299).blocks]
    assert names == [*(f"block{i}" for i in range(1, 15)), "head"]


def test_every_published_accuracy_has_a_label_and_a_source_with_an_address() -> None:
    for entry in published_accuracies():
        assert entry.label == "published"
        assert entry.source
        assert entry.address.startswith("https://")
        assert entry.top1_low < entry.top1 < entry.top1_high < 100
        assert entry.top1 < entry.top5


def test_parameters_of_published_weights_follow_from_the_blueprint() -> None:
    counts = {entry.weights: entry.parameters_trainable for entry in published_accuracies()}
    assert counts["Keras Xception"] == 22_855_952
    assert counts["Keras Inception V3"] == 23_817_352
    assert counts["torchvision Inception V3, V1"] == 23_834_568
    assert counts["TF-Slim Inception V3"] == 23_819_401
    assert counts["TF-Slim ResNet-50"] is None


def test_a_variant_without_published_weights_has_no_accuracy() -> None:
    assert reference_accuracy("xception", "narrow") is None
    reference = reference_accuracy("xception", "default")
    assert reference is not None
    assert reference.top1 == 79.006


def test_accuracy_intervals_are_wilson_intervals_of_the_number_of_correct_images() -> None:
    # Wilson 1927, Journal of the American Statistical Association 22:209-212.
    z = NormalDist().inv_cdf(0.975)
    for entry in published_accuracies():
        correct = round(entry.top1 / 100 * VALIDATION_IMAGES) / VALIDATION_IMAGES
        scale = 1 + z * z / VALIDATION_IMAGES
        centre = (correct + z * z / (2 * VALIDATION_IMAGES)) / scale
        half = z / scale * math.sqrt((correct * (1 - correct) + z * z / (4 * VALIDATION_IMAGES)) / VALIDATION_IMAGES)
        assert entry.top1_low == pytest.approx(100 * (centre - half), rel=1e-12)
        assert entry.top1_high == pytest.approx(100 * (centre + half), rel=1e-12)
