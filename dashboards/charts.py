"""Drawings as Plotly's JSON. Colours are the style sheet's variables, so that a drawing follows light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import format as fmt
from dashboards.content import Figure
from dashboards.runs import Row
from dashboards.style import framework_colour, recipe_pattern, recipe_symbol

ROW_HEIGHT = 25
MARGIN_LEFT = 92


@dataclass(frozen=True, slots=True)
class Value:
    """What one row shows: a value with its bounds in the axis' unit, what stands beside it, and what hovering tells."""

    value: float
    low: float | None
    high: float | None
    text: str
    hover: str


@dataclass(frozen=True, slots=True)
class Slots:
    """Where rows stand on a vertical axis that counts downwards: rows under a heading for each recipe."""

    positions: tuple[float, ...]
    headings: tuple[tuple[float, str], ...]
    end: float


def slots(rows: Sequence[Row], heading: float = 1.0) -> Slots:
    """One slot per row; wherever the recipe changes, a heading that is `heading` rows high."""
    positions: list[float] = []
    headings: list[tuple[float, str]] = []
    at = 0.0
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before.case.recipe != row.case.recipe:
            headings.append((at + (heading - 1) / 2, row.recipe))
            at += heading
        positions.append(at)
        at += 1
    return Slots(tuple(positions), tuple(headings), at)


def bars(rows: Sequence[Row], value: Callable[[Row], Value | None], axis: str, limit: float) -> Figure:
    """A bar from zero with its interval per row; a row without a value says why in its place.

    limit: the largest value among the charts that share a scale.
    """
    place = slots(rows)
    shown = [(at, row, found) for at, row in zip(place.positions, rows, strict=True) if (found := value(row))]
    absent = [(at, row) for at, row in zip(place.positions, rows, strict=True) if value(row) is None]
    data = [
        _bar_trace(framework, [entry for entry in shown if _look(entry) == (framework, bounded)], bounded)
        for framework, bounded in dict.fromkeys(_look(entry) for entry in shown)
    ]
    data.append(_texts([(max(v.value, v.high or v.value), at, v.text) for at, _, v in shown]))
    notes = [_absent_note(at, row) for at, row in absent]
    return _rows_figure(data, rows, place, axis, [0, limit * 1.22 or 1], notes)


def stacked(rows: Sequence[Row], phases: Sequence[tuple[str, str, Callable[[Row], float]]], axis: str) -> Figure:
    """Bars of phases end to end. phases: name, colour, and the phase's length for a row that has a result."""
    place = slots(rows)
    shown = [(at, row) for at, row in zip(place.positions, rows, strict=True) if row.ok]
    data: list[dict[str, Any]] = []
    for name, colour, length in phases:
        lengths = [length(row) for _, row in shown]
        data.append({
            "type": "bar", "orientation": "h", "name": name, "width": 0.72,
            "x": lengths, "y": [at for at, _ in shown],
            "marker": {"color": colour, "line": {"color": "var(--paper)", "width": 1}},
            "customdata": [
                f"<b>{fmt.chart_text(row.label)}</b><br>{name}: {fmt.seconds(v)}"
                for (_, row), v in zip(shown, lengths, strict=True)
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        })
    totals = [sum(length(row) for _, _, length in phases) for _, row in shown]
    data.append(_texts([(total, at, fmt.seconds(total)) for total, (at, _) in zip(totals, shown, strict=True)]))
    notes = [_absent_note(at, row) for at, row in zip(place.positions, rows, strict=True) if not row.ok]
    figure = _rows_figure(data, rows, place, axis, [0, max(totals, default=1) * 1.25], notes)
    figure["layout"]["barmode"] = "stack"
    return figure


def strips(rows: Sequence[Row], span: tuple[float, float]) -> Figure:
    """Every step as a mark, in percent of the case's median; within a row time runs from top to bottom.

    span: the part of the axis that is drawn; steps beyond it are arrows at its edge.
    """
    place = slots(rows, heading=0.6)
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = [_vertical_line(0)]
    for at, row in zip(place.positions, rows, strict=True):
        if row.ok:
            data.append(_strip(at, row, span))
            shapes.append(_interval_band(at, row, span))
    notes = [_absent_note(at, row, x=span[0]) for at, row in zip(place.positions, rows, strict=True) if not row.ok]
    figure = _rows_figure(data, rows, place, "step time against the case's median (%)", list(span), notes, height=44)
    figure["layout"]["shapes"] = shapes
    figure["layout"]["xaxis"] |= {"zeroline": False, "ticksuffix": " %", "showticksuffix": "all"}
    return figure


def columns(
    names: Sequence[str], parts: Sequence[tuple[str, str, Sequence[float]]], axis: str, ticks: Sequence[float] = (),
    tick_name: str = "",
) -> Figure:
    """Bars of named parts end to end, one row per name. parts: name, colour, values; ticks: a mark on each row."""
    positions = list(range(len(names)))
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "name": part, "x": list(values), "y": positions, "width": 0.74,
            "marker": {"color": colour},
            "hovertemplate": f"%{{customdata}}<br>{part}: %{{x:,.3~s}}<extra></extra>",
            "customdata": [fmt.chart_text(name) for name in names],
        }
        for part, colour, values in parts
        if any(values)
    ]
    if ticks:
        data.append({
            "type": "scatter", "mode": "markers", "name": tick_name, "cliponaxis": False,
            "x": list(ticks), "y": positions,
            "marker": {
                "symbol": "diamond", "size": 8, "color": "var(--paper)", "line": {"width": 1.5, "color": "var(--ink)"},
            },
            "hovertemplate": f"%{{customdata}}<br>{tick_name}: %{{x:,.3~s}}<extra></extra>",
            "customdata": [fmt.chart_text(name) for name in names],
        })
    layout = _layout(axis)
    layout |= {
        "barmode": "stack", "height": 20 * len(names) + 56, "showlegend": False,
        "margin": {"l": 104, "r": 16, "t": 6, "b": 50},
    }
    layout["yaxis"] = _row_axis(positions, names, len(names))
    layout["xaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": layout}


def scatter(traces: list[dict[str, Any]], x: str, y: str, height: int = 420) -> Figure:
    """Marks on two axes."""
    layout = _layout(x)
    layout |= {
        "height": height, "showlegend": False, "hovermode": "closest",
        "margin": {"l": 58, "r": 16, "t": 8, "b": 52},
    }
    layout["yaxis"] = _axis(y) | {"zeroline": False, "nticks": 8}
    return {"data": traces, "layout": layout}


def _look(entry: tuple[float, Row, Value]) -> tuple[str, bool]:
    """What makes bars one trace: the framework's colour, and whether there is an interval to draw."""
    _, row, value = entry
    return row.case.framework, value.low is not None or value.high is not None


def _bar_trace(framework: str, entries: Sequence[tuple[float, Row, Value]], bounded: bool) -> dict[str, Any]:
    values = [v for _, _, v in entries]
    colour = framework_colour(framework)
    return {
        "type": "bar", "orientation": "h", "width": 0.72, "name": fmt.chart_text(fmt.name(framework)),
        "x": [v.value for v in values], "y": [at for at, _, _ in entries],
        "marker": {
            "color": colour, "line": {"color": colour, "width": 1},
            "pattern": {
                "shape": [recipe_pattern(row.case.recipe) for _, row, _ in entries],
                "fgcolor": "var(--pattern)", "size": 6, "solidity": 0.28, "fillmode": "overlay",
            },
        },
        "error_x": _error(values) if bounded else {"visible": False},
        "customdata": [v.hover for v in values],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _texts(places: Sequence[tuple[float, float, str]]) -> dict[str, Any]:
    """Text to the right of (x, y)."""
    return {
        "type": "scatter", "mode": "text", "hoverinfo": "skip", "cliponaxis": False,
        "x": [x for x, _, _ in places], "y": [y for _, y, _ in places],
        "text": [f" {fmt.chart_text(text)}" for _, _, text in places],
        "textposition": "middle right", "textfont": {"size": 12, "color": "var(--ink)"},
    }


def _strip(at: float, row: Row, span: tuple[float, float]) -> dict[str, Any]:
    assert row.summary.step_s is not None
    median = row.summary.step_s.median
    steps = [
        (s, kind)
        for p in row.record.processes for kind, part in (("warm-up", p.warmup_s), ("timed", p.steps_s)) for s in part
    ]
    share = [100 * (s / median - 1) for s, _ in steps]
    symbol = recipe_symbol(row.case.recipe)
    symbols = [
        "triangle-right" if v > span[1] else "triangle-left" if v < span[0] else
        symbol if kind == "timed" else f"{symbol}-open"
        for v, (_, kind) in zip(share, steps, strict=True)
    ]
    colour = framework_colour(row.case.framework)
    return {
        "type": "scatter", "mode": "markers", "cliponaxis": False,
        "x": [min(max(v, span[0]), span[1]) for v in share],
        "y": [at - 0.38 + 0.76 * i / max(len(steps) - 1, 1) for i in range(len(steps))],
        "marker": {
            "color": colour, "size": 6, "opacity": 0.8, "symbol": symbols, "line": {"color": colour, "width": 1},
        },
        "customdata": [
            f"<b>{fmt.chart_text(row.label)}</b><br>step {i} ({kind}): {fmt.number(1e3 * s, 2)} ms, {v:+.1f} %"
            for i, ((s, kind), v) in enumerate(zip(steps, share, strict=True), start=2)
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


def _error(values: Sequence[Value]) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "color": "var(--ink)", "thickness": 1.5, "width": 4,
        "array": [0 if v.high is None else max(v.high - v.value, 0) for v in values],
        "arrayminus": [0 if v.low is None else max(v.value - v.low, 0) for v in values],
    }


def _absent_note(at: float, row: Row, x: float = 0) -> dict[str, Any]:
    text = "no figure" if row.ok else fmt.status(row.summary.status)
    return {
        "x": x, "y": at, "text": f" {fmt.chart_text(text)}", "showarrow": False, "xanchor": "left", "yanchor": "middle",
        "font": {"size": 12, "color": "var(--muted)"},
    }


def _rows_figure(
    data: list[dict[str, Any]], rows: Sequence[Row], place: Slots, axis: str, span: list[float],
    notes: list[dict[str, Any]], height: int = ROW_HEIGHT,
) -> Figure:
    layout = _layout(axis)
    headings = [
        {
            "x": 0, "xref": "paper", "xanchor": "right", "xshift": -6, "y": at, "yanchor": "middle", "showarrow": False,
            "text": f"<i>{fmt.chart_text(text)}</i>", "font": {"size": 12, "color": "var(--muted)"},
        }
        for at, text in place.headings
    ]
    layout |= {
        "height": round(height * place.end) + 56, "margin": {"l": MARGIN_LEFT, "r": 12, "t": 4, "b": 50},
        "annotations": [*headings, *notes], "showlegend": False,
    }
    layout["xaxis"] |= {"range": span, "autorange": False}
    layout["yaxis"] = _row_axis(place.positions, [row.framework + row.mark for row in rows], place.end)
    return {"data": data, "layout": layout}


def _layout(axis: str) -> dict[str, Any]:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "dragmode": False, "autosize": True,
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif", "size": 13,
            "color": "var(--ink)",
        },
        "hoverlabel": {
            "bgcolor": "var(--raised)", "bordercolor": "var(--axis)", "font": {"color": "var(--ink)", "size": 13},
            "align": "left",
        },
        "xaxis": _axis(axis),
    }


def _row_axis(positions: Sequence[float], names: Sequence[str], end: float) -> dict[str, Any]:
    """A vertical axis of named rows, counted downwards; its invisible ticks keep the names off the bars."""
    return {
        "autorange": False, "range": [end - 0.4, -0.6], "tickvals": list(positions), "showgrid": False,
        "ticktext": [fmt.chart_text(name) for name in names], "zeroline": False, "fixedrange": True,
        "ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)",
    }


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": "var(--muted)"}}, "fixedrange": True,
        "gridcolor": "var(--grid)", "zerolinecolor": "var(--axis)", "tickfont": {"color": "var(--muted)"}, "nticks": 6,
    }


