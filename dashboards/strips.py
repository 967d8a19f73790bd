"""Every step of a case as a mark, as Plotly's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboards import words
from dashboards.charts import absent_note, rows_figure, slots
from dashboards.content import Figure
from dashboards.runs import Row
from dashboards.style import framework_colour, recipe_symbol
from xibench.record import format as fmt


def strips(rows: Sequence[Row], span: tuple[float, float]) -> Figure:
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
