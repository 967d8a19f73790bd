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
"""Share of the highest throughput of a sweep that defines its knee."""

MIN_BATCHES: Final = 3  # two points are not a curve


@dataclass(frozen=True, slots=True)
class Sweep:
    """A batch sweep: cases of a sweepable scenario that differ only in the batch size.

    Attributes:
        case: The case with the smallest batch.
        points: (batch, images per second) of the cases with a figure that is not in brackets, in order of the batch.
        knee: The smallest batch whose throughput is at least KNEE_SHARE of the highest. None if that is the largest
            measured batch, because throughput still rises there.
        out_of_memory: The smallest batch that ran out of memory; None if none did.
    """

    case: Case
    points: tuple[tuple[int, float], ...]
    knee: int | None
    out_of_memory: int | None

    @property
    def best(self) -> int:
        """The batch with the highest throughput."""
        return max(self.points, key=lambda point: point[1])[0]


def sweeps(summaries: Iterable[Summary]) -> list[Sweep]:
    """Find the batch sweeps of a run.

    Args:
        summaries: Summaries of the run's cases, in any order.

    Returns:
        The sweeps with at least MIN_BATCHES batches, of which at least one was measured.
    """
    # Cases that are equal apart from the batch belong to the same sweep.
    series: dict[Case, list[Summary]] = {}
    for summary in summaries:
        if described(summary.case.scenario).sweepable:
            series.setdefault(msgspec.structs.replace(summary.case, batch=1), []).append(summary)

    found = []
    for members in series.values():
        members.sort(key=lambda summary: summary.case.batch)
        points = tuple((s.case.batch, s.images_per_s.median) for s in members if s.images_per_s and not s.bracketed)
        if len(members) < MIN_BATCHES or not points:
            continue
        threshold = KNEE_SHARE * max(throughput for _, throughput in points)
        knee = next(batch for batch, throughput in points if throughput >= threshold)
        found.append(Sweep(
            case=members[0].case,
            points=points,
            knee=None if knee == points[-1][0] else knee,
            out_of_memory=next((s.case.batch for s in members if s.status == "out_of_memory"), None),
        ))  # fmt: skip
    return found
