"""Published accuracies beside what their networks cost. Labelled `published`: none of them was measured by xibench."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

from frameworks.architectures import network
from frameworks.cost import cost
from frameworks.published import PUBLISHED, REFERENCE, VALIDATION_IMAGES, Published

LABEL: Final = "published"
Z95: Final = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """One set of weights. Accuracies are percent; low and high bound the 95 % interval of sampling the pictures.

    parameters_trainable and macs (one picture at `resolution`) are None where no count of the network is at hand.
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
    """Every published accuracy, with the costs of its network from the blueprint where there is one."""
    return tuple(_with_costs(entry) for entry in PUBLISHED)


def reference_accuracy(model: str, variant: str) -> PublishedAccuracy | None:
    """The published accuracy that stands for a network; None for one of which there are no published weights here."""
    if variant != "default" or model not in REFERENCE:
        return None
    return next(entry for entry in published_accuracies() if entry.weights == REFERENCE[model])


def wilson_interval(successes: float, trials: int, z: float = Z95) -> tuple[float, float]:
    """Bounds of a binomial proportion (Wilson 1927), as fractions. `successes` need not be whole: it may be rounded."""
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return centre - half, centre + half


def _with_costs(entry: Published) -> PublishedAccuracy:
    low, high = wilson_interval(entry.top1 / 100 * VALIDATION_IMAGES, VALIDATION_IMAGES)
    parameters, macs = entry.parameters_trainable, entry.macs
    if entry.model:
        built = cost(network(entry.model, entry.variant, resolution=entry.resolution, classes=entry.classes))
        parameters, macs = built.parameters_trainable, built.macs
    return PublishedAccuracy(
        weights=entry.weights, family=entry.family, model=entry.model, top1=entry.top1, top1_low=100 * low,
        top1_high=100 * high, top5=entry.top5, resolution=entry.resolution, parameters_trainable=parameters, macs=macs,
        source=entry.source.name, address=entry.source.address, note=entry.note,
    )
