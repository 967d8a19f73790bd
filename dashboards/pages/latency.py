"""How long is a step or a query, how steady is it, and how many queries can be served?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from dashboards import captions, charts, takeaways, trust, words
from dashboards.charts import absent_note, rows_figure, slots
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Prose, Section, Table
from dashboards.runs import Group, Row
from dashboards.sections import queries, server
from dashboards.site import Content, PageKind, Site
from dashboards.style import framework_colour, recipe_symbol
from xibench.record import format as fmt
from xibench.record.metrics import STEP_S
from xibench.record.schema import Process

LEAST_SPAN: Final = 2.0  # percent either side of the median: less would show noise as if it were large
NOT_MEASURED: Final = {
    "p50_s": "Single-stream was not measured: one image at a time with p50, p90 and p99 of its latency. "
    "`xibench run --scenario single-stream` does.",
    "highest_rate_hz": "The server scenario was not measured: latency against the rate at which queries arrive. "
    "`xibench run --scenario server` does.",
}


def content(site: Site) -> Content:
    """Steps of whole batches, single queries with their percentiles, and latency against the arrival rate."""
    sections = [
        *(_section(group, (_medians(group), _steps(group))) for group in site.groups("images_per_s", sweeps=False)),
        *(_section(group, (queries.percentiles(group), _steps(group))) for group in site.groups("p50_s")),
        *(_section(group, server.blocks(group)) for group in site.groups("highest_rate_hz")),
    ]
    if not sections:
        return Content((Section("nothing", "Nothing was measured", (Prose((_nothing(site),), "note"),)),))
    lacking = tuple(text for metric, text in NOT_MEASURED.items() if not site.groups(metric))
    if lacking:
        sections.append(Section("lacking", "Not measured in these runs", (Prose(lacking),)))
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="latency.html",
    label="Latency",
    question="How long does a step or a query take, and how steady is it?",
    content=content,
)


def _nothing(site: Site) -> str:
    if site.measured:
        return "No case of these runs timed single steps outside of a batch sweep."
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
            Chart(charts.bars(panel.rows, _value, axis, scale), panel.title, takeaways.latency(panel))
            for panel in group.panels
        ),
        caption=(f"{captions.bars(group, scale.cuts)} Shorter is faster.", *captions.measured(group)),
        table=_table(group),
    )


def _value(row: Row) -> charts.Value | None:
    return charts.value_of(row, STEP_S, "ms")


def _steps(group: Group) -> FigureBlock:
    span = _span(group)
    beyond = sum(not span[0] <= v <= span[1] for v in _shares(group, lambda p: [*p.warmup_s, *p.steps_s]))
    edge = f" Steps beyond the axis are arrows at its edge; there are {beyond}." if beyond else ""
    several = ", one process after another." if any(row.summary.processes > 1 for row in group.measured) else "."
    return FigureBlock(
        title=f"Every {group.scenario.sample or 'step'}",
        takeaways=(takeaways.drift(group), *_outliers(group)),
        charts=tuple(
            Chart(_strips(panel.rows, span), panel.title, f"{panel.title}: every step against its case's median.")
            for panel in group.panels
        ),
        caption=(
            (f"One mark per step after the first{several} Within a row time runs from top to "
            "bottom, so a slant is drift. Hollow marks are warm-up, left out of the median; the band is the median's "
            f"95 % interval.{edge}"),
            *captions.measured(group),
        ),
    )


def _outliers(group: Group) -> tuple[str, ...]:
    found = [row.summary.outliers for row in group.measured if row.summary.outliers]
    steps = sum(o.n for o in found)
    if not steps:
        return ()
    mild, severe = sum(o.mild for o in found), sum(o.severe for o in found)
    return (
        (f"Of {fmt.plural(steps, 'step')}, {fmt.grouped(mild)} are mild and {fmt.grouped(severe)} severe outliers of "
        "their process by Tukey's fences; they are in every figure."),
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
        "Network", "Framework", "Recipe", "Median, ms [95 %]", "Least, ms", "Most, ms", "Outliers, mild + severe",
        "On the device's clock, ms", *trust.COLUMNS, "Warm-up steps", "Warm-up ended by", "Stopped by",
    )
    return Table(columns, tuple(rows), frozenset(range(3, len(columns) - 2)), fold="The numbers")


def _device(row: Row) -> tuple[str]:
    """The median step on the device's own clock."""
    steps = [s for p in row.record.processes if p.sampled for s in p.sampled.device_steps_s or ()]
    return (fmt.number(1e3 * float(np.median(steps))) if steps else fmt.NONE,)


def _ended(rules: Iterable[str]) -> str:
    """Which rules ended the processes, each once with how many."""
    found = Counter(rules)
    return ", ".join(rule if len(found) == 1 else f"{rule} ({count})" for rule, count in found.items())


def _strips(rows: Sequence[Row], span: tuple[float, float]) -> Figure:
    """Every step as a mark, in percent of the case's median; within a row time runs from top to bottom.

    span: the part of the axis that is drawn; steps beyond it are arrows at its edge.
    """
    place = slots(rows, heading=0.6)
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = [_vertical_line(0)]
    for at, row in zip(place.positions, rows, strict=True):
        if row.summary.step_s:
            data.append(_strip(at, row, row.summary.step_s.median, span))
            shapes.append(_interval_band(at, row, span))
    notes = [
        absent_note(at, row, x=span[0]) for at, row in zip(place.positions, rows, strict=True)
        if not row.summary.step_s
    ]
    figure = rows_figure(data, rows, place, "step time against the case's median (%)", list(span), notes, height=44)
    figure["layout"]["shapes"] = shapes
    figure["layout"]["xaxis"] |= {"zeroline": False, "ticksuffix": " %", "showticksuffix": "all"}
    return figure


def _strip(at: float, row: Row, median: float, span: tuple[float, float]) -> dict[str, Any]:
    steps = [
        (s, number, kind)
        for number, p in enumerate(row.record.processes, start=1)
        for kind, part in (("warm-up", p.warmup_s), ("timed", p.steps_s)) for s in part
    ]
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
        "y": [at - 0.38 + 0.76 * i / max(len(steps) - 1, 1) for i in range(len(steps))],
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
