"""Published accuracies with the costs of their networks, labelled `published` because xibench measured none of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from frameworks.architectures import network
from frameworks.cost import cost
from frameworks.published import PUBLISHED, REFERENCE, VALIDATION_IMAGES, Published

LABEL: Final = "published"


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """The published accuracy of one set of weights.

    Attributes:
        weights: Name of the weights.
        family: Family of the network, for the legend of a chart.
        model: Registered network with these weights; None if there is none.
        top1: Top-1 accuracy in percent.
        top1_low: Lower end of its 95 % interval, which covers the sampling of the validation images.
        top1_high: Upper end of that interval.
        top5: Top-5 accuracy in percent.
        resolution: Input height and width in pixels.
        parameters_trainable: Trainable parameters; None if unknown.
        macs: Multiply-adds of one image at `resolution`; None if unknown.
        source: Name of the publication.
        address: Its URL.
        note: Conditions of the publication that matter for a comparison.
        label: Always `published`.
    """

    weights: str
    family: str
    model: str | None
    top1: float
    top1_low: float
    top1_high: float
    top5: float
    resolution: int
    parameters_trainable: int | None
    macs: int | None
    source: str
    address: str
    note: str
    label: str = LABEL


@cache
def published_accuracies() -> tuple[PublishedAccuracy, ...]:
    """Return all published accuracies, with the costs of their networks from the blueprint if there is one."""
    return tuple(_with_costs(entry) for entry in PUBLISHED)


def reference_accuracy(model: str, variant: str) -> PublishedAccuracy | None:
    """Return the published accuracy that represents a network; None if the network has none."""
    if variant != "default" or model not in REFERENCE:
        return None
    return next(entry for entry in published_accuracies() if entry.weights == REFERENCE[model])


def _with_costs(entry: Published) -> PublishedAccuracy:
    from scipy.stats import binomtest

    # Sources round accuracies, so that the number of correct images is known only up to rounding.
    correct = round(entry.top1 / 100 * VALIDATION_IMAGES)
    interval = binomtest(correct, VALIDATION_IMAGES).proportion_ci(method="wilson")
    parameters, macs = entry.parameters_trainable, entry.macs
    if entry.model:
        built = cost(network(entry.model, entry.variant, resolution=entry.resolution, classes=entry.classes))
        parameters, macs = built.parameters_trainable, built.macs
    return PublishedAccuracy(
        weights=entry.weights, family=entry.family, model=entry.model, top1=entry.top1,
        top1_low=100 * float(interval.low), top1_high=100 * float(interval.high), top5=entry.top5,
        resolution=entry.resolution, parameters_trainable=parameters, macs=macs, source=entry.source.name,
        address=entry.source.address, note=entry.note,
    )  # fmt: skip
