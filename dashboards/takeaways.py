"""Takeaways: sentences computed from the data that state what a figure shows, with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dashboards import words
from dashboards.runs import Group, Panel, Row, network_title
from xibench.record import format as fmt
from xibench.record.metrics import IMAGES_PER_S, STEP_S, Metric, central
from xibench.record.ranking import Ranking, rank
from xibench.record.summary import Summary

MIN_STEPS_FOR_DRIFT: Final = 9  # three in each third
MAX_NAMED: Final = 4  # cases that a sentence names as not ranked


@dataclass(frozen=True, slots=True)
class Drift:
    """Drift within a process: median of its last third of steps over that of its first third, minus 1."""

    row: Row
    share: float


def throughput(panel: Panel) -> str:
    """State which case is fastest, by how much, and whether that is certain."""
    ranking = rank([row.summary for row in panel.rows], IMAGES_PER_S)
    if not ranking.order:
        return f"No case of {panel.title} is ranked.{left_out(ranking)}"
    best, others = ranking.order[0], ranking.order[1:]
    figure = f"{fmt.estimate(_images(best))} images/s"
    beyond = f"{_attained(best)}{left_out(ranking)}"
    if not others:
        return f"{name(best)} ran {panel.title} at {figure}; no other case of it is ranked.{beyond}"
    against = _against_slowest(best, others)
    if ranking.certain:
        second = f"{fmt.ratio(_images(best).median / _images(others[0]).median)} the next, {name(others[0])}"
        further = f", and {against}" if against and others[-1] is not others[0] else ""
        return f"{name(best)} is fastest on {panel.title}: {figure}, {second}{further}.{beyond}"
    lead = f"{name(best)} has the highest median on {panel.title}, {figure}{f', {against}' if against else ''}"
    return f"{lead}, but {_uncertain(ranking)}.{beyond}"


def latency(panel: Panel) -> str:
    """State the range of the median step time."""
    ranking = rank([row.summary for row in panel.rows], STEP_S)
    if not ranking.order:
        return f"No case of {panel.title} is ranked.{left_out(ranking)}"
    fast, slow = ranking.order[0], ranking.order[-1]
    shortest = f"{fmt.estimate(_step(fast), 1e3)} ms ({name(fast)})"
    if fast is slow:
        return f"The median step of {panel.title} takes {shortest}.{left_out(ranking)}"
    longest = f"{fmt.estimate(_step(slow), 1e3)} ms ({name(slow)})"
    return f"The median step of {panel.title} takes from {shortest} to {longest}.{left_out(ranking)}"


def drift(group: Group) -> str:
    """State which case drifted most during its timed steps."""
    rows = [row for panel in group.panels for row in panel.measured]
    found = [d for row in rows if (d := _drift(row))]
    if not found:
        return f"No case has the {MIN_STEPS_FOR_DRIFT} timed steps in a process that detecting drift requires."
    most = max(found, key=lambda d: abs(d.share))
    where = f"{name(most.row.summary)} on {network_title(most.row.case.model, most.row.case.variant)}"
    way = "slower" if most.share > 0 else "faster"
    short = len(rows) - len(found)
    lack = "has" if short == 1 else "have"
    without = f" {fmt.plural(short, 'case')} of {fmt.grouped(len(rows))} {lack} too few steps."
    return (
        f"{where} has the process that drifts most: the median of its last third of steps is "
        f"{fmt.percentage(100 * abs(most.share))} {way} than that of its first third.{without if short else ''}"
    )


TIME_TO_FIRST_RESULT: Final = Metric(
    name="time_to_first_result_s", unit="s", better="lower", heading="time to the first result",
    of=lambda case: float(np.median(
        [(p.import_s, p.build_s, p.compile_s or 0.0, p.first_step_s) for p in case.processes], axis=0
    ).sum()),
)  # fmt: skip
"""Seconds from the import of the framework to the end of the first step: the sum of the phases' medians, as drawn."""


def extremes(panel: Panel, metric: Metric[Any], shown: Callable[[float], str], what: str = "") -> str:
    """State the minimum and the maximum of a figure with their cases, and which cases are not ranked.

    Args:
        panel: The cases.
        metric: The figure.
        shown: Formats a value in the metric's unit.
        what: Name of the figure; empty: the metric's label.
    """
    ranking, what = rank([row.summary for row in panel.rows], metric), what or metric.label
    found = [(value, summary) for summary in ranking.order if (value := central(summary[metric])) is not None]
    if not found:
        return f"{panel.title}: no case has a figure for {what} that is ranked.{left_out(ranking)}"
    (minimum, low), (maximum, high) = min(found, key=_value), max(found, key=_value)
    if len(found) == 1:
        return f"{panel.title}: {what} is {shown(minimum)} ({name(low)}).{left_out(ranking)}"
    if shown(minimum) == shown(maximum):
        return f"{panel.title}: {what} is {shown(minimum)} in every ranked case.{left_out(ranking)}"
    times = f", {fmt.ratio(maximum / minimum)} as much" if minimum > 0 else ""
    ends = f"{shown(minimum)} ({name(low)}) to {shown(maximum)} ({name(high)})"
    return f"{panel.title}: {what} ranges from {ends}{times}.{left_out(ranking)}"


def left_out(ranking: Ranking) -> str:
    """Name the cases that are not ranked, as a sentence after a space; empty if there are none."""
    if not ranking.left_out:
        return ""
    cases = [f"{name(summary)} ({reason})" for summary, reason in ranking.left_out]
    more = [f"{len(cases) - MAX_NAMED} more"] if len(cases) > MAX_NAMED else []
    return f" Not ranked: {fmt.listing([*cases[:MAX_NAMED], *more])}."


def name(summary: Summary) -> str:
    """`PyTorch tuned`"""
    return f"{words.name(summary.case.framework)} {words.name(summary.case.recipe)}"


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


def _attained(summary: Summary) -> str:
    share = summary.attained
    return "" if share is None else f" It attains {fmt.percentage(100 * share)} of its roofline."


def _uncertain(ranking: Ranking) -> str:
    """Why it is not certain that the first case is the fastest."""
    if ranking.single:
        return "with one process per case it is not certain to be faster than the others"
    undecided = [f"{name(summary)} ({fmt.estimate(_images(summary))})" for summary in ranking.undecided]
    return f"it is not certain to be faster than {fmt.listing(undecided)}"


def _against_slowest(best: Summary, others: Sequence[Summary]) -> str:
    defaults = [summary for summary in others if summary.case.recipe == "default"]
    if not defaults:
        return ""
    slowest = min(defaults, key=lambda summary: _images(summary).median)
    times = fmt.ratio(_images(best).median / _images(slowest).median)
    return f"{times} the slowest default recipe ({words.name(slowest.case.framework)})"


def _drift(row: Row) -> Drift | None:
    """The drift of the process that drifted most; None if no process has enough steps."""
    shares = []
    for process in row.record.processes:
        steps = process.steps_s
        if len(steps) >= MIN_STEPS_FOR_DRIFT:
            third = len(steps) // 3
            shares.append(float(np.median(steps[-third:]) / np.median(steps[:third]) - 1))
    return Drift(row, max(shares, key=abs)) if shares else None


def _value(pair: tuple[float, Summary]) -> float:
    return pair[0]


def _step(summary: Summary) -> fmt.Estimate:
    assert summary.step_s is not None
    return summary.step_s


def _images(summary: Summary) -> fmt.Estimate:
    assert summary.images_per_s is not None
    return summary.images_per_s
