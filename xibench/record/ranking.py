"""Which of several comparable cases is best, and whether that is certain: the one rule of all tables and pages.

**The rule.** A case is better than another only if the 95 % intervals of both include the variation between processes,
so at least two processes each, and do not overlap. If the slower one is marked as disturbed, its time is first reduced
by the share of it that others may account for: undisturbed it may have been that much faster. A case without a figure,
and one whose figure is in brackets, is not ranked, and named with the reason. docs/method.md states the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from xibench.measure.statistics import Interval, Percentile, few_units_factor, hierarchical_median
from xibench.record import format
from xibench.record.marks import bracketed
from xibench.record.metrics import HIGHEST_RATE_HZ, Metric, bounds, central
from xibench.record.schema import Server
from xibench.record.summary import Summary

MIN_PROCESSES: Final = 2  # per case, from which on anything can be certain
SUGGESTED_PROCESSES: Final = 3  # per case, where nothing is known about the variation between them
MAX_PROCESSES: Final = 20  # per case, that are still suggested
MAX_DELAY: Final = 0.7  # share of a step's time: beside a busy loop PyTorch took 3.1 times as long (docs/decisions.md)


@dataclass(frozen=True, slots=True)
class Lead:
    """How many times as good as another case a case is (as fast, where the metric is a time), at least 1.

    Attributes:
        times: The ratio of the two estimates.
        low: Lower bound of its 95 % interval; None unless both sides have an interval over several processes.
        high: Upper bound.
    """

    times: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Comparable cases in the order of one metric.

    Attributes:
        metric: The metric.
        order: The ranked cases, the best estimate first; equal ones in the order in which they were given.
        undecided: The ranked cases of which it is not certain that the first is better.
        left_out: The cases that are not ranked, each with the reason.
    """

    metric: Metric[Any]
    order: tuple[Summary, ...]
    undecided: tuple[Summary, ...]
    left_out: tuple[tuple[Summary, str], ...]

    @property
    def certain(self) -> bool:
        """Whether the first case is better than each of the others."""
        return len(self.order) > 1 and not self.undecided

    @property
    def single(self) -> bool:
        """Whether every ranked case ran in one process, so that nothing can be certain."""
        return all(summary.processes < MIN_PROCESSES for summary in self.order)


def rank(summaries: Iterable[Summary], metric: Metric[Any]) -> Ranking:
    """Rank comparable cases.

    Args:
        summaries: Cases that differ in nothing but what is to be compared, such as framework and recipe.
        metric: What they are ranked by. One without a better direction is ordered from the lowest to the highest value,
            and nothing is certain.
    """
    known: list[tuple[float, Summary]] = []
    left_out: list[tuple[Summary, str]] = []
    for summary in summaries:
        value = central(summary[metric])
        if value is None:
            why = f"no {metric.label}" if summary.status == "ok" else summary.status.replace("_", " ")
            left_out.append((summary, why))
        elif bracketed(summary, metric):
            left_out.append((summary, f"others took {format.percent(summary.taken_share)} of the cores' time"))
        else:
            known.append((value, summary))
    known.sort(key=lambda pair: pair[0], reverse=metric.better == "higher")
    order = tuple(summary for _, summary in known)
    undecided = tuple(other for other in order[1:] if not is_better(order[0], other, metric))
    return Ranking(metric, order, undecided, tuple(left_out))


def is_better(one: Summary, other: Summary, metric: Metric[Any]) -> bool:
    """Whether it is certain that `one` is better than `other`, by the rule of this module."""
    if metric.better is None:
        return False
    lower, delay = metric.better == "lower", 0.0 if metric.unit == "B" else _delay(other)
    sides = over_processes(one, metric), over_processes(other, metric)
    if not _apart(bounds(sides[0]), bounds(sides[1]), lower, delay):
        return False
    pooled = isinstance(one[metric], Percentile)  # whose own interval, which tables show, is another one
    return not pooled or _apart(bounds(one[metric]), bounds(other[metric]), lower, delay)


def lead(one: Summary, other: Summary, metric: Metric[Any]) -> Lead | None:
    """Return how many times as good as `other` `one` is; None where a ratio means nothing, as of 0.

    The bounds combine the distances of the sides' bounds as roots of sums of squares on the log scale (MOVER: Zou and
    Donner 2008).
    """
    left, right = over_processes(one, metric), over_processes(other, metric)
    values = central(one[metric]), central(other[metric])
    if values[0] is None or values[1] is None or min(values[0], values[1]) <= 0:
        return None
    sign = 1 if metric.better == "higher" else -1
    centre = sign * math.log(values[0] / values[1])
    reaches = [_reach(side, sign * way) for side, way in ((left, -1), (right, 1), (left, 1), (right, -1))]
    if any(reach is None for reach in reaches):
        return Lead(math.exp(centre), None, None)
    down, up = (math.hypot(reaches[i] or 0, reaches[i + 1] or 0) for i in (0, 2))
    return Lead(math.exp(centre), math.exp(centre - down), math.exp(centre + up))


def processes_needed(one: Summary, other: Summary, metric: Metric[Any]) -> int | None:
    """Return how many processes each case would take to tell two cases apart, if their figures stay what they are.

    Returns:
        SUGGESTED_PROCESSES where a case ran in one process, so that the variation is unknown; None where more than
        MAX_PROCESSES are needed, or the metric has no value for each process.
    """
    if min(one.processes, other.processes) < MIN_PROCESSES:
        return SUGGESTED_PROCESSES
    left, right = over_processes(one, metric), over_processes(other, metric)
    sign = 1 if metric.better == "higher" else -1
    near = _reach(left, -sign), _reach(right, sign)
    if left is None or right is None or near[0] is None or near[1] is None:
        return None
    gap = sign * math.log(left.median / right.median)
    for n in range(max(left.processes, right.processes) + 1, MAX_PROCESSES + 1):
        reach = sum(
            now * (few_units_factor(n) / math.sqrt(n)) / (few_units_factor(side.processes) / math.sqrt(side.processes))
            for now, side in ((near[0], left), (near[1], right))
        )
        if reach < gap:
            return n
    return None


def over_processes(summary: Summary, metric: Metric[Any]) -> Interval | None:
    """Return the figure of a case with an interval that includes the variation between its processes.

    Returns:
        None with fewer than MIN_PROCESSES, and for metrics that have no value for each process.
    """
    value, case = summary[metric], summary.measured
    if isinstance(value, Interval):
        return value if value.processes >= MIN_PROCESSES else None
    if case is None or value is None:
        return None
    each: Sequence[float] = []
    if isinstance(value, Percentile):  # its own interval pools the steps of all processes
        each = [float(np.quantile(steps, value.q)) for steps in case.steps_s]
    elif metric is HIGHEST_RATE_HZ:
        each = [p.measured.highest_rate_hz or 0.0 for p in case.processes if isinstance(p.measured, Server)]
    if len(each) < MIN_PROCESSES or min(each) <= 0:
        return None
    return hierarchical_median([[one] for one in each], summary.case.seed)


def _delay(summary: Summary) -> float:
    """Return the largest share of a step's time that others may account for; 0 if the case is not marked as disturbed.

    The threads of a step wait for each other, so that all of them wait for one whose core others use. With a thread on
    each of n cores, others that take the share s of all cores may take all of it from one of them: n s of that core's
    time. It is MAX_DELAY where that is more, and where the number of threads is unknown (docs/method.md).
    """
    if not (summary.disturbed and summary.taken_share and summary.measured and summary.case.device == "cpu"):
        return 0.0
    threads = [process.settings.get("threads") for process in summary.measured.processes]
    known = [n for n in threads if isinstance(n, int)]
    return min(MAX_DELAY, max(known) * summary.taken_share) if known else MAX_DELAY


def _apart(
    one: tuple[float | None, float | None], other: tuple[float | None, float | None], lower: bool, delay: float
) -> bool:
    """Whether an interval lies on the better side of another one, whose time may be too long by the share `delay`."""
    if one[0] is None or one[1] is None or other[0] is None or other[1] is None:
        return False
    return one[1] < other[0] * (1 - delay) if lower else one[0] * (1 - delay) > other[1]


def _reach(interval: Interval | None, way: int) -> float | None:
    """The distance from the estimate to its upper (way 1) or lower (-1) bound on the log scale."""
    bound = None if interval is None else interval.high if way > 0 else interval.low
    return None if interval is None or bound is None or bound <= 0 else abs(math.log(bound / interval.median))
