"""What a history is made of: series of points, each the figure of one night or one commit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec


class Key(msgspec.Struct, frozen=True, order=True):
    """What tells one series from another.

    Attributes:
        machine: Name of the machine.
        name: What is measured, with its parameters, such as `step.Step.time_step(jax, xception, tuned)`.
        place: In what it is measured, without versions, so that an upgrade is a step in one series: the names of an asv
            environment's packages, `pytest-benchmark` or `xibench run`.
    """

    machine: str
    name: str
    place: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The figure of a series at one commit.

    Attributes:
        value: The figure, above 0, in the unit of the series. Lower is better.
        low, high: Bounds of its interval, at the confidence of its source (asv 99 %, xibench 95 %); None where it
            states none.
        commit: Full hash of the commit that was measured; None where its source states none.
        commit_time: When the commit was made, seconds since 1970; None where its source states no time.
        measured: When it was measured, seconds since 1970.
        versions: Versions of the packages that its source states.
        source: Path of the file that it comes from.
    """

    value: float
    low: float | None = None
    high: float | None = None
    commit: str | None = None
    commit_time: float | None = None
    measured: float
    versions: Mapping[str, str] = {}
    source: str

    @property
    def order(self) -> tuple[float, float]:
        """Its place in the series: by commit, and where a commit was measured more than once, by time."""
        return (self.measured if self.commit_time is None else self.commit_time), self.measured


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What `xibench ab` measures to confirm a change of a series.

    Attributes:
        framework, model, variant, recipe, precision, batch, resolution: As the fields of a case; no resolution is the
            network's own.
        metric: Name of the metric of pairs (`xibench.record.pair_metrics`).
    """

    framework: str
    model: str
    variant: str = "default"
    recipe: str = "default"
    precision: str = "fp32"
    batch: int
    resolution: int | None = None
    metric: str = "step"


class Series(msgspec.Struct, frozen=True):
    """The figures of one thing on one machine, oldest first; and what can confirm its changes, if anything can."""

    key: Key
    unit: str
    points: tuple[Point, ...]
    subject: Subject | None = None


class Reading(NamedTuple):
    """A point as a source yields it, with the series that it belongs to."""

    key: Key
    unit: str
    point: Point
    subject: Subject | None = None


def assemble(readings: Iterable[Reading]) -> list[Series]:
    """Sort readings of any sources into series, oldest point first, in the order of their keys.

    Figures that are not above 0, which have no logarithm, are left out.
    """
    found: dict[Key, list[Point]] = {}
    described: dict[Key, tuple[str, Subject | None]] = {}
    for reading in readings:
        if not 0 < reading.point.value < math.inf:
            continue
        found.setdefault(reading.key, []).append(reading.point)
        described[reading.key] = reading.unit, reading.subject
    return [
        Series(key, described[key][0], tuple(sorted(found[key], key=lambda point: point.order)), described[key][1])
        for key in sorted(found)
    ]
