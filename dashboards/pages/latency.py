"""How long is a step, how steady is it, and how long until the first result?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dashboards import captions, charts, takeaways
from dashboards import format as fmt
from dashboards.content import Cell, Chart, FigureBlock, Key, Page, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Row, groups
from dashboards.style import PHASES
from xibench.record.schema import Process

FILE = "latency.html"
LEAST_SPAN = 2.0  # percent either side of the median: less would show noise as if it were large


def page(runs: Sequence[LoadedRun]) -> Page:
    """Median steps with intervals, every step that was taken, and the time to a first result."""
    sections = tuple(_section(group) for group in groups(runs) if group.measured)
    nothing = (Section("nothing", "Nothing was measured", (Prose(("No case of these runs has a result.",), "note"),)),)
    return Page(
        FILE, "Latency", "Latency",
        "How long does a step take, how steady is it, and how long is it until the first result?", sections or nothing,
    )


def _section(group: Group) -> Section:
    return Section(group.key, group.title, (_medians(group), _steps(group), _startup(group)), subtitle=group.subtitle)


def _medians(group: Group) -> FigureBlock:
    shown = [value for row in group.measured if (value := _value(row))]
    limit = max(max(value.high or 0, value.value) for value in shown)
    axis = f"time per step of {fmt.plural(group.case.batch, 'image')} (ms)"
    return FigureBlock(
        title="Time per step",
        takeaways=tuple(takeaways.latency(panel) for panel in group.panels),
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, axis, limit), panel.title, takeaways.latency(panel))
            for panel in group.panels
        ),
        caption=("Bars: median; lines: 95 % interval. Shorter is faster.", *captions.measured(group)),
        table=_table(group),
    )


def _value(row: Row) -> charts.Value | None:
    step = row.summary.step_s
    if step is None:
        return None
    hover = f"<b>{fmt.chart_text(row.label)}</b><br>{fmt.interval(step, 1e3)} ms<br>n = {step.n} steps"
    low, high = (None if bound is None else 1e3 * bound for bound in (step.low, step.high))
    return charts.Value(1e3 * step.median, low, high, fmt.number(1e3 * step.median), hover)


def _steps(group: Group) -> FigureBlock:
    span = _span(group)
    beyond = sum(not span[0] <= v <= span[1] for v in _shares(group, lambda p: [*p.warmup_s, *p.steps_s]))
    edge = f" Steps beyond the axis are arrows at its edge; there are {beyond}." if beyond else ""
    return FigureBlock(
        title="Every step",
        takeaways=(takeaways.drift(group),),
        charts=tuple(
            Chart(charts.strips(panel.rows, span), panel.title, f"{panel.title}: every step against its case's median.")
            for panel in group.panels
        ),
        caption=(
            "One mark per step after the first. Within a row time runs from top to bottom, so a slant is drift. Hollow "
            "marks are warm-up, left out of the median; the band is the median's 95 % interval." + edge,
            *captions.measured(group),
        ),
    )


def _span(group: Group) -> tuple[float, float]:
    """The axis of all strips of a group: the central 96 % of timed steps with room around; warm-up if it is near."""
    low, high = np.percentile(_shares(group, lambda process: process.steps_s), [2, 98])
    half = max(LEAST_SPAN, 1.25 * max(-float(low), float(high)))
    warmup = max(_shares(group, lambda process: process.warmup_s), default=0.0)
    return -min(half, 100.0), max(half, min(1.05 * warmup, 4 * half))


def _shares(group: Group, steps: Callable[[Process], Sequence[float]]) -> list[float]:
    """How far each step lies from its case's median, in percent of it."""
    return [
        100 * (s / row.summary.step_s.median - 1)
        for row in group.measured if row.summary.step_s for p in row.record.processes for s in steps(p)
    ]


def _startup(group: Group) -> FigureBlock:
    phases = (
        ("import", PHASES[0], lambda row: row.process.import_s),
        ("build", PHASES[1], lambda row: row.process.build_s),
        ("compile", PHASES[2], lambda row: row.process.compile_s or 0.0),
        ("first step", PHASES[3], lambda row: row.process.first_step_s),
    )
    what = (
        "Each phase happened once per process (n = 1), so there is no interval. Where a framework cannot compile ahead "
        "of the first step, the first step includes compiling. Each chart has its own scale."
    )
    return FigureBlock(
        title="Time to the first result",
        takeaways=tuple(takeaways.startup(panel) for panel in group.panels),
        charts=tuple(
            Chart(charts.stacked(panel.rows, phases, "time from the start of the import (s)"), panel.title,
                  takeaways.startup(panel), tuple(Key(name, colour) for name, colour, _ in phases))
            for panel in group.panels
        ),
        caption=(what, *captions.measured(group, with_intervals=False)),
        table=_startup_table(group),
    )


def _table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            step = row.summary.step_s
            assert step is not None
            steps = [s for p in row.record.processes for s in p.steps_s]
            rows.append((
                panel.title, row.framework, row.recipe + row.mark, fmt.interval(step, 1e3),
                fmt.number(1e3 * min(steps)), fmt.number(1e3 * max(steps)), str(step.n),
                str(sum(len(p.warmup_s) for p in row.record.processes)), row.process.stopped_by,
            ))
    columns = (
        "Network", "Framework", "Recipe", "Median, ms [95 %]", "Least, ms", "Most, ms", "n", "Warm-up steps",
        "Stopped by",
    )
    return Table(columns, tuple(rows), frozenset({3, 4, 5, 6, 7}), fold="The numbers")


def _startup_table(group: Group) -> Table:
    rows = tuple(
        (panel.title, row.framework, row.recipe + row.mark, fmt.number(p.import_s), fmt.number(p.build_s),
         "in the first step" if p.compile_s is None else fmt.number(p.compile_s), fmt.number(p.first_step_s))
        for panel in group.panels for row in panel.measured for p in row.record.processes
    )
    columns = ("Network", "Framework", "Recipe", "Import, s", "Build, s", "Compile, s", "First step, s")
    return Table(columns, rows, frozenset({3, 4, 5, 6}), fold="The numbers")
