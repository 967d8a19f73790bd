"""Batch sweeps: throughput against batch size, the knee of that curve, and where memory ran out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from xibench.record.schema import Case
from xibench.record.summary import Summary
from xibench.scenarios import described

KNEE_SHARE: Final = 0.95
"""A batch is large enough once it reaches this share of the series' highest throughput."""

MIN_BATCHES: Final = 3  # fewer points make no curve


@dataclass(frozen=True, slots=True)
class Sweep:
    """One series: cases of a sweepable scenario that differ in the batch alone.

    case: the series' smallest batch. points: (batch, images per second), the measured ones, growing.
    knee: the smallest batch whose throughput is at least KNEE_SHARE of the highest; None if that is the largest batch
    that was measured: the curve still rises there. ended: the first batch for which memory ran out; None if none.
    """

    case: Case
    points: tuple[tuple[int, float], ...]
    knee: int | None
    ended: int | None

    @property
    def best(self) -> int:
        """The batch with the highest throughput."""
        return max(self.points, key=lambda point: point[1])[0]


def sweeps(summaries: Iterable[Summary]) -> list[Sweep]:
    """The series among these cases that have at least MIN_BATCHES batches, of which at least one was measured."""
    series: dict[Case, list[Summary]] = {}
    for summary in summaries:
        if described(summary.case.scenario).sweepable:
            series.setdefault(msgspec.structs.replace(summary.case, batch=1), []).append(summary)
    grown = (sorted(members, key=lambda s: s.case.batch) for members in series.values())
    return [_sweep(members) for members in grown if len(members) >= MIN_BATCHES and _points(members)]


def _sweep(members: list[Summary]) -> Sweep:
    points = _points(members)
    highest = max(throughput for _, throughput in points)
    enough = next(batch for batch, throughput in points if throughput >= KNEE_SHARE * highest)
    return Sweep(
        case=members[0].case,
        points=points,
        knee=None if enough == points[-1][0] else enough,
        ended=next((s.case.batch for s in members if s.status == "out_of_memory"), None),
    )


def _points(members: list[Summary]) -> tuple[tuple[int, float], ...]:
    return tuple((s.case.batch, s.images_per_s.median) for s in members if s.images_per_s)
