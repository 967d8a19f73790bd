"""Takeaways: sentences computed from the data that state what a figure shows, with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dashboards import words
from dashboards.runs import Group, Panel, Row
from xibench.record import format as fmt
from xibench.record.summary import Summary

MIN_STEPS_FOR_DRIFT: Final = 9  # three in each third


@dataclass(frozen=True, slots=True)
class Drift:
    """Drift within a process: median of its last third of steps over that of its first third, minus 1."""

    row: Row
    share: float


def throughput(panel: Panel) -> str:
    """State which case is fastest, by how much, and whether its interval is separate from the next."""
    rows = sorted(panel.measured, key=lambda row: -_rate(row.summary))
    if not rows:
        return f"No case of {panel.title} was measured."
    best, others = rows[0], rows[1:]
    figure = f"{fmt.estimate(_images(best.summary))} images/s"
    if not others:
        return f"{_name(best)} ran {panel.title} at {figure}; no other case of it was measured.{_attained(best)}"
    ties = [row for row in others if overlap(best.summary, row.summary)]
    against = _against_slowest(best, others)
    if ties:
        unclear = fmt.listing([f"{_name(row)} ({fmt.estimate(_images(row.summary))})" for row in ties])
        lead = f"{_name(best)} has the highest median on {panel.title}, {figure}"
        return f"{lead}{f', {against}' if against else ''}, but {_undecided(best, ties)} {unclear}.{_attained(best)}"
    second = f"{fmt.ratio(_rate(best.summary) / _rate(others[0].summary))} the next, {_name(others[0])}"
    beyond = f", and {against}" if against and others[-1] is not others[0] else ""
    return f"{_name(best)} is fastest on {panel.title}: {figure}, {second}{beyond}.{_attained(best)}"


def latency(panel: Panel) -> str:
    """State the range of the median step time."""
    rows = sorted(panel.measured, key=lambda row: -_rate(row.summary))
    if not rows:
        return f"No case of {panel.title} was measured."
    fast, slow = rows[0], rows[-1]
    shortest = f"{fmt.estimate(_step(fast.summary), 1e3)} ms ({_name(fast)})"
    if fast is slow:
        return f"A step of {panel.title} takes {shortest}."
    longest = f"{fmt.estimate(_step(slow.summary), 1e3)} ms ({_name(slow)})"
    return f"A step of {panel.title} takes from {shortest} to {longest}."


def drift(group: Group) -> str:
    """State which case drifted most during its timed steps."""
    found = [d for panel in group.panels for row in panel.measured if (d := _drift(row))]
    if not found:
        return f"No case has the {MIN_STEPS_FOR_DRIFT} timed steps that detecting drift requires."
    most = max(found, key=lambda d: abs(d.share))
    where = f"{_name(most.row)} on {words.name(most.row.case.model)}"
    way = "slower" if most.share > 0 else "faster"
    return (
        f"{where} drifts most: the median of its last third of steps is {fmt.percentage(100 * abs(most.share))} {way} "
        "than that of its first third."
    )


def startup(panel: Panel) -> str:
    """State which case reaches its first result soonest and which latest."""
    rows = sorted(panel.measured, key=time_to_first_result)
    if not rows:
        return f"No case of {panel.title} was measured."
    first, last = rows[0], rows[-1]
    soonest = fmt.seconds_or_ms(time_to_first_result(first))
    text = f"{panel.title}: {_name(first)} reaches its first result after {soonest}"
    if first is last:
        return f"{text}."
    return f"{text}, {_name(last)} after {fmt.seconds_or_ms(time_to_first_result(last))}."


def time_to_first_result(row: Row) -> float:
    """Seconds from the import of the framework to the end of the first step, without waits of the measurement.

    The median over the row's processes.
    """
    found = [p.import_s + p.build_s + (p.compile_s or 0) + p.first_step_s for p in row.record.processes]
    return float(np.median(found))


def extremes(panel: Panel, value: Callable[[Row], float | None], unit: Callable[[float], str], what: str) -> str:
    """State the minimum and the maximum of a figure, with their cases."""
    found = sorted(((v, row) for row in panel.measured if (v := value(row)) is not None), key=lambda pair: pair[0])
    if not found:
        return f"{panel.title}: no case has a figure for {what}."
    (minimum, low), (maximum, high) = found[0], found[-1]
    if low is high:
        return f"{panel.title}: {what} is {unit(minimum)} ({_name(low)})."
    if unit(minimum) == unit(maximum):
        return f"{panel.title}: {what} is {unit(minimum)} in every case."
    times = f", {fmt.ratio(maximum / minimum)} as much" if minimum > 0 else ""
    ends = f"{unit(minimum)} ({_name(low)}) to {unit(maximum)} ({_name(high)})"
    return f"{panel.title}: {what} ranges from {ends}{times}."


def overlap(one: Summary, other: Summary) -> bool:
    """Whether two step intervals overlap; True if either is missing, since the cases cannot be distinguished then."""
    a, b = one.step_s, other.step_s
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def interval_note(rows: Sequence[Row]) -> str:
    """Explain whether the intervals include the spread between processes."""
    processes = sorted({row.summary.processes for row in rows if row.ok})
    if not processes:
        return ""
    if processes[-1] == 1:
        return (
            "Intervals are 95 % bootstrap intervals of the median over the steps of one process per case. They exclude "
            "the spread between processes, which is often larger: a small difference may not be reproducible even if "
            "intervals do not overlap."
        )
    single = " Those of cases with one process exclude it." if processes[0] == 1 else ""
    return (
        "Intervals are 95 % bootstrap intervals that resample processes, then the steps within each. They include the "
        f"spread between processes and are wide if there are few processes.{single}"
    )


def _attained(row: Row) -> str:
    share = row.summary.attained
    return "" if share is None else f" It attains {fmt.percentage(100 * share)} of its roofline."


def _undecided(best: Row, ties: Sequence[Row]) -> str:
    """Why this run cannot distinguish the best case: intervals overlap, or there are too few steps for one."""
    steps = [row.summary.step_s for row in (best, *ties)]
    if any(step is None or step.low is None for step in steps):
        return "there are too few steps to distinguish it from"
    return "its interval overlaps that of"


def _against_slowest(best: Row, others: Sequence[Row]) -> str:
    defaults = [row for row in others if row.case.recipe == "default"]
    if not defaults:
        return ""
    slowest = min(defaults, key=lambda row: _rate(row.summary))
    times = fmt.ratio(_rate(best.summary) / _rate(slowest.summary))
    return f"{times} the slowest default recipe ({slowest.framework})"


def _drift(row: Row) -> Drift | None:
    """The drift of the process that drifted most; None if no process has enough steps."""
    shares = []
    for process in row.record.processes:
        steps = process.steps_s
        if len(steps) >= MIN_STEPS_FOR_DRIFT:
            third = len(steps) // 3
            shares.append(float(np.median(steps[-third:]) / np.median(steps[:third]) - 1))
    return Drift(row, max(shares, key=abs)) if shares else None


def _name(row: Row) -> str:
    return f"{row.framework} {row.recipe}"


def _step(summary: Summary) -> fmt.Estimate:
    assert summary.step_s is not None
    return summary.step_s


def _images(summary: Summary) -> fmt.Estimate:
    assert summary.images_per_s is not None
    return summary.images_per_s


def _rate(summary: Summary) -> float:
    return _images(summary).median
