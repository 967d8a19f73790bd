"""Sentences computed from data: what a figure shows, said with the numbers that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dashboards import words
from dashboards.runs import Group, Panel, Row
from xibench.record import format as fmt
from xibench.record.summary import Summary

LEAST_STEPS_FOR_DRIFT: Final = 9  # three in each third


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the steps of a case's process moved: the median of the last third over that of the first, a fraction."""

    row: Row
    share: float


def throughput(panel: Panel) -> str:
    """Which case is fastest, by how much, and whether this run can tell it from the next."""
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
        return f"{lead}{f', {against}' if against else ''}, but {_untold(best, ties)} {unclear}.{_attained(best)}"
    second = f"{fmt.ratio(_rate(best.summary) / _rate(others[0].summary))} the next, {_name(others[0])}"
    beyond = f", and {against}" if against and others[-1] is not others[0] else ""
    return f"{_name(best)} is fastest on {panel.title}: {figure}, {second}{beyond}.{_attained(best)}"


def latency(panel: Panel) -> str:
    """The range of the median step."""
    rows = sorted(panel.measured, key=lambda row: -_rate(row.summary))
    if not rows:
        return f"No case of {panel.title} was measured."
    fast, slow = rows[0], rows[-1]
    least = f"{fmt.estimate(_step(fast.summary), 1e3)} ms ({_name(fast)})"
    if fast is slow:
        return f"A step of {panel.title} takes {least}."
    return f"A step of {panel.title} takes from {least} to {fmt.estimate(_step(slow.summary), 1e3)} ms ({_name(slow)})."


def drift(group: Group) -> str:
    """The case whose steps moved most while they were timed."""
    found = [d for panel in group.panels for row in panel.measured if (d := _drift(row))]
    if not found:
        return f"No case has the {LEAST_STEPS_FOR_DRIFT} timed steps that it takes to see a drift."
    most = max(found, key=lambda d: abs(d.share))
    where = f"{_name(most.row)} on {words.name(most.row.case.model)}"
    way = "slower" if most.share > 0 else "faster"
    return (
        f"{where} drifts most while it is timed: its last third of steps is {fmt.percentage(100 * abs(most.share))} "
        f"{way} than its first, by their medians."
    )


def startup(panel: Panel) -> str:
    """Which case is first and which last to a first result."""
    rows = sorted(panel.measured, key=time_to_first_result)
    if not rows:
        return f"No case of {panel.title} was measured."
    first, last = rows[0], rows[-1]
    text = f"{panel.title}: {_name(first)} has its first result after {fmt.seconds_or_ms(time_to_first_result(first))}"
    if first is last:
        return f"{text}."
    return f"{text}, {_name(last)} after {fmt.seconds_or_ms(time_to_first_result(last))}."


def time_to_first_result(row: Row) -> float:
    """Seconds from importing the framework to the end of the first step, without the measurement's own waiting.

    The median of the row's processes.
    """
    found = [p.import_s + p.build_s + (p.compile_s or 0) + p.first_step_s for p in row.record.processes]
    return float(np.median(found))


def extremes(panel: Panel, value: Callable[[Row], float | None], unit: Callable[[float], str], what: str) -> str:
    """The least and the most of something, with the cases."""
    found = sorted(((v, row) for row in panel.measured if (v := value(row)) is not None), key=lambda pair: pair[0])
    if not found:
        return f"{panel.title}: no case has a figure for {what}."
    (least, low), (most, high) = found[0], found[-1]
    if low is high:
        return f"{panel.title}: {what} is {unit(least)} ({_name(low)})."
    if unit(least) == unit(most):
        return f"{panel.title}: {what} is {unit(least)} in every case."
    times = f", {fmt.ratio(most / least)} as much" if least > 0 else ""
    return f"{panel.title}: {what} runs from {unit(least)} ({_name(low)}) to {unit(most)} ({_name(high)}){times}."


def overlap(one: Summary, other: Summary) -> bool:
    """Whether two step intervals overlap. Without an interval on either side nothing can be told apart."""
    a, b = one.step_s, other.step_s
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def interval_note(rows: Sequence[Row]) -> str:
    """Whether the intervals hold what differs from one process to the next."""
    processes = sorted({row.summary.processes for row in rows if row.ok})
    if not processes:
        return ""
    if processes[-1] == 1:
        return (
            "Intervals are 95 % bootstrap intervals of the median over the steps of one process per case. They leave "
            "out the spread between processes, which is often larger: a small difference may not repeat even where "
            "intervals do not overlap."
        )
    single = " Those of cases with one process leave it out." if processes[0] == 1 else ""
    return (
        "Intervals are 95 % bootstrap intervals that resample processes, then the steps within each: they include the "
        f"spread between processes and are wide where processes are few.{single}"
    )


def _attained(row: Row) -> str:
    share = row.summary.attained
    return "" if share is None else f" It attains {fmt.percentage(100 * share)} of its roofline."


def _untold(best: Row, ties: Sequence[Row]) -> str:
    """Why this run does not tell the best from others: intervals overlap, or there are too few steps for one."""
    steps = [row.summary.step_s for row in (best, *ties)]
    if any(step is None or step.low is None for step in steps):
        return "there are too few steps to tell it from"
    return "its interval overlaps that of"


def _against_slowest(best: Row, others: Sequence[Row]) -> str:
    defaults = [row for row in others if row.case.recipe == "default"]
    if not defaults:
        return ""
    slowest = min(defaults, key=lambda row: _rate(row.summary))
    times = fmt.ratio(_rate(best.summary) / _rate(slowest.summary))
    return f"{times} the slowest default measured ({slowest.framework})"


def _drift(row: Row) -> Drift | None:
    """Of the process that moved most; None if none has enough steps."""
    shares = []
    for process in row.record.processes:
        steps = process.steps_s
        if len(steps) >= LEAST_STEPS_FOR_DRIFT:
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
