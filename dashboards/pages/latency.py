"""Latency: how long does a step or a query take, how stable is it, and which arrival rate can be served?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from dashboards import captions, charts, curves, takeaways, trust, words
from dashboards.charts import absent_note, row_positions, rows_figure
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Prose, Section, Table
from dashboards.runs import Group, Row
from dashboards.sections import queries, server
from dashboards.site import Content, PageKind, Site
from dashboards.style import framework_colour, recipe_symbol
from xibench.record import format as fmt
from xibench.record.metrics import STEP_S
from xibench.record.schema import Process
from xibench.scenarios import SCENARIOS

MIN_SPAN: Final = 2.0  # percent on either side of the median: a narrower axis would exaggerate noise
MARKS: Final = 6000  # steps that are drawn one by one on the page, which takes 800 KB


def content(site: Site) -> Content:
    """Step times of batches, latency percentiles of single images, and latency against the arrival rate."""
    batches, single = site.groups("images_per_s", sweeps=False), site.groups("p50_s")
    marks = _marks_per_row([row for group in (*batches, *single) for row in group.measured])
    sections = [
        *(_section(group, (_medians(group), _steps(group, marks))) for group in batches),
        *(_section(group, (queries.percentiles(group), _steps(group, marks))) for group in single),
        *(_section(group, server.blocks(group)) for group in site.groups("highest_rate_hz")),
    ]
    if not sections:
        return Content((Section("nothing", "No results", (Prose((_nothing(site),), "note"),)),))
    measured = {group.case.scenario for group in site.groups()}
    missing = tuple(
        f"{scenario.label}: {scenario.description}. Measure it with `xibench run --scenario {scenario.name}`."
        for scenario in SCENARIOS.values() if scenario.sample == "query" and scenario.name not in measured
    )
    if missing:
        sections.append(Section("missing", "Not measured in these runs", (Prose(missing),)))
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="latency.html",
    label="Latency",
    question="How long does a step or a query take, and how stable is it?",
    content=content,
)


def _nothing(site: Site) -> str:
    if site.measured:
        return "No case outside of batch sweeps has timed steps."
    return "No case of these runs has a result."


def _section(group: Group, blocks: tuple[Block, ...]) -> Section:
    return Section(group.key, group.title, blocks, subtitle=group.subtitle)


def _medians(group: Group) -> FigureBlock:
    scale = charts.scale(group.measured, _value)
    axis = f"time per step of {fmt.plural(group.case.batch, 'image')} (ms)"
    return FigureBlock(
        title="Time per step",
        takeaways=tuple(takeaways.latency(panel) for panel in group.panels),
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, axis, scale), panel.title, takeaways.latency(panel),
                  curves.hollow_key(group.measured, "hollow-bar"))
            for panel in group.panels
        ),
        caption=(f"{captions.bars(group, scale.cuts)} Shorter is faster.", *captions.measured(group)),
        table=_table(group),
    )


def _value(row: Row) -> charts.Value | None:
    return charts.value_of(row, STEP_S, "ms")


def _marks_per_row(rows: Sequence[Row]) -> int | None:
    """How many steps of a case are drawn; None: all of them, since the page has few enough."""
    total = sum(len(p.warmup_s) + len(p.steps_s) for row in rows for p in row.record.processes)
    return max(2, MARKS // len(rows)) if total > MARKS else None


def _steps(group: Group, marks: int | None) -> FigureBlock:
    """Strips of steps. marks: as `_marks_per_row` returns it."""
    span = _span(group)
    beyond = sum(not span[0] <= v <= span[1] for v in _shares(group, lambda p: [*p.warmup_s, *p.steps_s]))
    edge = f" Arrows at the edges are the {fmt.plural(beyond, 'step')} beyond the axis." if beyond else ""
    several = ", process by process." if any(row.summary.processes > 1 for row in group.measured) else "."
    return FigureBlock(
        title=f"Every {group.scenario.sample or 'step'}",
        takeaways=(takeaways.drift(group), *_outliers(group)),
        charts=tuple(
            Chart(_strips(panel.rows, span, marks), panel.title, f"{panel.title}: every step relative to the median")
            for panel in group.panels
        ),
        caption=(
            *_thinning(group, marks),
            (f"One mark per step after the first{several} Within a row, time runs from top to bottom, so that drift "
            "shows as a slope. Hollow marks are warm-up steps, which the median excludes; the band is the 95 % "
            f"interval of the median.{edge}"),
            *captions.measured(group),
        ),
    )


def _thinning(group: Group, marks: int | None) -> tuple[str, ...]:
    """State that only some steps of a case are drawn, and which."""
    if marks is None or all(len(_all_steps(row)) <= marks for row in group.measured):
        return ()
    return (
        (f"Cases with more than {fmt.grouped(marks)} steps show that many: of each stretch of consecutive steps, the "
        "fastest and the slowest. All figures are of all steps."),
    )


def _outliers(group: Group) -> tuple[str, ...]:
    found = [row.summary.outliers for row in group.measured if row.summary.outliers]
    steps = sum(o.n for o in found)
    if not steps:
        return ()
    mild, severe = sum(o.mild for o in found), sum(o.severe for o in found)
    return (
        (f"Outliers within their process (Tukey's fences): {fmt.grouped(mild)} mild and {fmt.grouped(severe)} severe "
        f"among {fmt.plural(steps, 'step')}; every figure includes them."),
    )


def _span(group: Group) -> tuple[float, float]:
    """The axis of all strips of a group: the central 96 % of timed steps with a margin, and warm-up if it is close."""
    low, high = np.percentile(_shares(group, lambda process: process.steps_s), [2, 98])
    half = max(MIN_SPAN, 1.25 * max(-float(low), float(high)))
    warmup = max(_shares(group, lambda process: process.warmup_s), default=0.0)
    return -min(half, 100.0), max(half, min(1.05 * warmup, 4 * half))


def _shares(group: Group, steps: Callable[[Process], Sequence[float]]) -> list[float]:
    """The deviation of each step from the median of its case, in percent."""
    return [
        100 * (s / row.summary.step_s.median - 1)
        for row in group.measured if row.summary.step_s for p in row.record.processes for s in steps(p)
    ]


def _table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            step, outliers = row.summary.step_s, row.summary.outliers
            assert step is not None
            steps = [s for p in row.record.processes for s in p.steps_s]
            rows.append((
                panel.title, row.framework, trust.recipe(row), fmt.estimate(step, 1e3),
                fmt.number(1e3 * min(steps)), fmt.number(1e3 * max(steps)),
                f"{outliers.mild} + {outliers.severe}" if outliers else fmt.NONE, *_device(row), *trust.cells(row),
                str(sum(len(p.warmup_s) for p in row.record.processes)),
                _ended(p.sampled.warmup_stopped_by for p in row.record.processes if p.sampled),
                _ended(p.sampled.stopped_by for p in row.record.processes if p.sampled),
            ))
    columns = (
        "Network", "Framework", "Recipe", "Median, ms [95 %]", "Minimum, ms", "Maximum, ms",
        "Outliers, mild + severe", "Device time, ms", *trust.COLUMNS, "Warm-up steps", "Warm-up stopped by",
        "Sampling stopped by",
    )
    return Table(columns, tuple(rows), frozenset(range(3, len(columns) - 2)), fold="Data table")


def _device(row: Row) -> tuple[str]:
    """The median step on the clock of the device."""
    steps = [s for p in row.record.processes if p.sampled for s in p.sampled.device_steps_s or ()]
    return (fmt.number(1e3 * float(np.median(steps))) if steps else fmt.NONE,)


def _ended(rules: Iterable[str]) -> str:
    """The distinct stopping rules with the number of processes that each one stopped."""
    found = Counter(rules)
    return ", ".join(rule if len(found) == 1 else f"{rule} ({count})" for rule, count in found.items())


def _strips(rows: Sequence[Row], span: tuple[float, float], marks: int | None) -> Figure:
    """One mark per step, in percent of the median of its case; within a row, time runs from top to bottom.

    span: of the axis; steps beyond it are arrows at its edges. marks: as `_marks_per_row` returns it.
    """
    place = row_positions(rows, heading=0.6)
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = [_vertical_line(0)]
    for at, row in zip(place.positions, rows, strict=True):
        if row.summary.step_s:
            data.append(_strip(at, row, row.summary.step_s.median, span, marks))
            shapes.append(_interval_band(at, row, span))
    notes = [
        absent_note(at, row, x=span[0]) for at, row in zip(place.positions, rows, strict=True)
        if not row.summary.step_s
    ]
    figure = rows_figure(data, rows, place, "step time relative to the median (%)", list(span), notes, height=44)
    figure["layout"]["shapes"] = shapes
    figure["layout"]["xaxis"] |= {"zeroline": False, "ticksuffix": " %", "showticksuffix": "all"}
    return figure


def _all_steps(row: Row) -> list[tuple[float, int, str]]:
    """Every step after the first: its seconds, the number of its process, and whether it is of the warm-up."""
    return [
        (s, number, kind)
        for number, p in enumerate(row.record.processes, start=1)
        for kind, part in (("warm-up", p.warmup_s), ("timed", p.steps_s)) for s in part
    ]


def _strip(at: float, row: Row, median: float, span: tuple[float, float], marks: int | None) -> dict[str, Any]:
    everything = _all_steps(row)
    places = list(range(len(everything)))
    if marks is not None and len(everything) > marks:
        stretches = np.array_split(np.array([s for s, _, _ in everything]), marks // 2)
        begins = np.cumsum([0, *map(len, stretches[:-1])])
        ends = ((begin + s.argmin(), begin + s.argmax()) for begin, s in zip(begins, stretches, strict=True))
        places = sorted({int(place) for pair in ends for place in pair})
    steps = [everything[place] for place in places]
    share = [100 * (s / median - 1) for s, _, _ in steps]
    symbol = recipe_symbol(row.case.recipe)
    symbols = [
        "triangle-right" if v > span[1] else "triangle-left" if v < span[0] else
        symbol if kind == "timed" else f"{symbol}-open"
        for v, (_, _, kind) in zip(share, steps, strict=True)
    ]
    colour = framework_colour(row.case.framework)
    return {
        "type": "scatter", "mode": "markers", "cliponaxis": False,
        "x": [min(max(v, span[0]), span[1]) for v in share],
        "y": [at - 0.38 + 0.76 * place / max(len(everything) - 1, 1) for place in places],
        "marker": {
            "color": colour, "size": 6 if len(steps) < 120 else 4, "opacity": 0.8, "symbol": symbols,
            "line": {"color": colour, "width": 1},
        },
        "customdata": [
            f"<b>{words.chart_text(row.label)}</b><br>process {number}, {kind}: {fmt.number(1e3 * s, 2)} ms, {v:+.1f} %"
            for (s, number, kind), v in zip(steps, share, strict=True)
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _interval_band(at: float, row: Row, span: tuple[float, float]) -> dict[str, Any]:
    step = row.summary.step_s
    assert step is not None
    low, high = (100 * ((bound or step.median) / step.median - 1) for bound in (step.low, step.high))
    return {
        "type": "rect", "layer": "below",
        "x0": max(low, span[0]), "x1": min(high, span[1]), "y0": at - 0.46, "y1": at + 0.46,
        "fillcolor": framework_colour(row.case.framework), "opacity": 0.28, "line": {"width": 0},
    }


def _vertical_line(x: float) -> dict[str, Any]:
    return {
        "type": "line", "layer": "below", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": "var(--axis)", "width": 1},
    }
