"""Charts with one row per case, as Plotly JSON (`curves` has charts with two numeric axes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dashboards import trust, words
from dashboards.content import Figure
from dashboards.runs import Row
from dashboards.style import asymmetric, framework_colour, reach_of, recipe_pattern
from dashboards.style import layout as layout_of
from xibench.record import format as fmt
from xibench.record.marks import CONTINUES, bracketed
from xibench.record.marks import shown as in_brackets
from xibench.record.metrics import Metric, bounds, central

ROW_HEIGHT: Final = 25
HOLLOW: Final = "rgba(0,0,0,0)"  # of a bar that is not ranked
MARGIN_LEFT: Final = 92


@dataclass(frozen=True, slots=True)
class Value:
    """A bar: its value and bounds in the unit of the axis, the label beside it, and its hover text."""

    value: float
    low: float | None
    high: float | None
    text: str
    hover: str
    hollow: bool = False  # it is not ranked: the bar is an outline, and its label is in parentheses


def value_of(row: Row, metric: Metric[Any], unit: str = "") -> Value | None:
    """The bar of a metric of a case, in the metric's display unit; None if the case has no value.

    unit: name of the unit in the hover text; empty: `unit_of` the metric.
    """
    found, factor = row.summary[metric], scale_of(metric)
    middle = central(found)
    if middle is None:
        return None
    low, high = (None if bound is None else factor * bound for bound in bounds(found))
    hover = trust.hover(row, f"{fmt.bounded(factor * middle, low, high)} {unit or unit_of(metric)}")
    text = trust.beside(row, fmt.number(factor * middle))
    return Value(factor * middle, low, high, text, hover, bracketed(row.summary, metric))


def scale_of(metric: Metric[Any]) -> float:
    """Factor from a metric's unit to its display unit on the site."""
    return {"bytes": 1 / fmt.MIB, "percent": 100.0, "number": metric.scale}[metric.style]


def unit_of(metric: Metric[Any]) -> str:
    """The display unit of a metric on the site."""
    return {"bytes": "MiB", "percent": "%", "number": metric.shown_unit or metric.unit}[metric.style]


@dataclass(frozen=True, slots=True)
class Dot:
    """One of several marks in a row; if `value` is None, `text` gives the reason instead."""

    value: float | None
    low: float | None
    high: float | None
    symbol: str
    text: str
    hover: str
    rise: float = 0  # above the row's line, in rows


@dataclass(frozen=True, slots=True)
class RowPositions:
    """Positions of rows on a vertical axis that counts downwards, grouped under a heading per recipe."""

    positions: tuple[float, ...]
    headings: tuple[tuple[float, str], ...]
    end: float


def row_positions(rows: Sequence[Row], heading: float = 1.0) -> RowPositions:
    """One position per row; where the recipe changes, a heading that is `heading` rows high."""
    positions: list[float] = []
    headings: list[tuple[float, str]] = []
    at = 0.0
    for before, row in zip([None, *rows], rows, strict=False):
        if before is None or before.case.recipe != row.case.recipe:
            headings.append((at + (heading - 1) / 2, row.recipe))
            at += heading
        positions.append(at)
        at += 1
    return RowPositions(tuple(positions), tuple(headings), at)


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of a bar chart: error bars end at `reach` at most; labels take the space from there to `end`."""

    reach: float
    end: float
    cuts: bool  # whether an interval continues beyond `reach`


def scale(rows: Sequence[Row], value: Callable[[Row], Value | None]) -> Scale:
    """For all charts that share a scale. An interval far beyond every bar does not shrink the bars to nothing."""
    shown = [v for row in rows if (v := value(row))]
    longest = max((len(v.text) for v in shown), default=0)
    reach = reach_of([v.value for v in shown], [v.high for v in shown])
    return Scale(reach, reach * (1.08 + 0.03 * longest) or 1, any(v.high is not None and v.high > reach for v in shown))


def bars(rows: Sequence[Row], value: Callable[[Row], Value | None], axis: str, extent: Scale) -> Figure:
    """One bar with its interval per row; a row without a value shows the reason instead."""
    place = row_positions(rows)
    shown = [(at, row, found) for at, row in zip(place.positions, rows, strict=True) if (found := value(row))]
    absent = [(at, row) for at, row in zip(place.positions, rows, strict=True) if value(row) is None]
    data = [
        _bar_trace(look, [entry for entry in shown if _look(entry) == look], extent.reach)
        for look in dict.fromkeys(_look(entry) for entry in shown)
    ]
    data.append(_texts([_beside(at, v, extent.reach) for at, _, v in shown]))
    notes = [absent_note(at, row) for at, row in absent]
    return rows_figure(data, rows, place, axis, [0, extent.end], notes)


def stacked(
    rows: Sequence[Row], parts: Sequence[tuple[str, str, Callable[[Row], float]]], axis: str,
    show: Callable[[float], str] = fmt.seconds_or_ms, has_parts: Callable[[Row], bool] = lambda row: row.ok,
) -> Figure:
    """Stacked bars. parts: name, colour and length of each part; rows without parts show the reason instead."""
    place = row_positions(rows)
    shown = [(at, row) for at, row in zip(place.positions, rows, strict=True) if has_parts(row)]
    data: list[dict[str, Any]] = []
    for name, colour, length in parts:
        lengths = [length(row) for _, row in shown]
        data.append({
            "type": "bar", "orientation": "h", "name": name, "width": 0.72,
            "x": lengths, "y": [at for at, _ in shown],
            "marker": {
                "color": [HOLLOW if row.summary.bracketed else colour for _, row in shown],
                "line": {
                    "color": [colour if row.summary.bracketed else "var(--paper)" for _, row in shown], "width": 1,
                },
            },
            "customdata": [
                trust.hover(row, f"{name}: {show(v)}") for (_, row), v in zip(shown, lengths, strict=True)
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        })
    totals = [sum(length(row) for _, _, length in parts) for _, row in shown]
    labels = [in_brackets(show(total), row.summary) for total, (_, row) in zip(totals, shown, strict=True)]
    data.append(_texts([(total, at, text) for total, (at, _), text in zip(totals, shown, labels, strict=True)]))
    notes = [absent_note(at, row) for at, row in zip(place.positions, rows, strict=True) if not has_parts(row)]
    figure = rows_figure(data, rows, place, axis, [0, max(totals, default=1) * 1.25], notes)
    figure["layout"]["barmode"] = "stack"
    return figure


def dots(rows: Sequence[Row], marks: Callable[[Row], Sequence[Dot]], axis: str, height: int = ROW_HEIGHT) -> Figure:
    """Several marks per row, each with its bounds and a label to its right; a mark without a value is its label alone.

    height: of a row, in pixels.
    """
    place = row_positions(rows, heading=ROW_HEIGHT / height)
    found = [(at, row, marks(row)) for at, row in zip(place.positions, rows, strict=True)]
    drawn = [(at, row, [m for m in some if m.value is not None]) for at, row, some in found]
    values = [(at, m, m.value) for at, _, some in found for m in some if m.value is not None]
    data = [_dot_trace(at, row, some) for at, row, some in drawn if some]
    texts = [(max(value, m.high or 0), at - m.rise, f"\u2002{m.text}") for at, m, value in values if m.text]
    data.append(_texts(texts))
    notes = [absent_note(at, row) for at, row, some in found if not some]
    notes += [absent_note(at - m.rise, row, text=m.text) for at, row, some in found for m in some if m.value is None]
    limit = max((max(value, m.high or 0) for _, m, value in values), default=0)
    return rows_figure(data, rows, place, axis, [0, limit * 1.3 or 1], notes, height)


def columns(
    names: Sequence[str], parts: Sequence[tuple[str, str, Sequence[float]]], axis: str, ticks: Sequence[float] = (),
    tick_name: str = "",
) -> Figure:
    """Stacked bars, one row per name. parts: name, colour and values; ticks: an extra mark on each row."""
    positions = list(range(len(names)))
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "name": part, "x": list(values), "y": positions, "width": 0.74,
            "marker": {"color": colour},
            "hovertemplate": f"%{{customdata}}<br>{part}: %{{x:,.3~s}}<extra></extra>",
            "customdata": [words.chart_text(name) for name in names],
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
            "customdata": [words.chart_text(name) for name in names],
        })
    layout = layout_of(axis)
    layout |= {
        "barmode": "stack", "height": 20 * len(names) + 56, "showlegend": False,
        "margin": {"l": 104, "r": 16, "t": 6, "b": 50},
    }
    layout["yaxis"] = _row_axis(positions, names, len(names))
    layout["xaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": layout}


def _look(entry: tuple[float, Row, Value]) -> tuple[str, bool, bool]:
    """What the bars of one trace share: the framework, whether they have error bars, and whether they are hollow."""
    _, row, value = entry
    return row.case.framework, value.low is not None or value.high is not None, value.hollow


def _beside(at: float, v: Value, reach: float) -> tuple[float, float, str]:
    """Position and text of a bar's label, which is marked if the error bar continues beyond the axis."""
    high = v.value if v.high is None else v.high
    text = f"({v.text})" if v.hollow else v.text
    return (reach, at, f"{CONTINUES.symbol} {text}") if high > reach else (max(v.value, high), at, text)


def _bar_trace(
    look: tuple[str, bool, bool], entries: Sequence[tuple[float, Row, Value]], reach: float
) -> dict[str, Any]:
    framework, bounded, hollow = look
    values = [v for _, _, v in entries]
    colour = framework_colour(framework)
    return {
        "type": "bar", "orientation": "h", "width": 0.72, "name": words.chart_text(words.name(framework)),
        "x": [v.value for v in values], "y": [at for at, _, _ in entries],
        "marker": {
            "color": HOLLOW if hollow else colour, "line": {"color": colour, "width": 1},
            "pattern": {
                "shape": ["" if hollow else recipe_pattern(row.case.recipe) for _, row, _ in entries],
                "fgcolor": "var(--pattern)", "size": 6, "solidity": 0.28, "fillmode": "overlay",
            },
        },
        "error_x": _error(values, reach) if bounded else {"visible": False},
        "customdata": [v.hover for v in values],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _dot_trace(at: float, row: Row, found: Sequence[Dot]) -> dict[str, Any]:
    colour = framework_colour(row.case.framework)
    values = [m.value or 0 for m in found]
    bounded = any(m.low is not None or m.high is not None for m in found)
    return {
        "type": "scatter", "mode": "markers", "cliponaxis": False, "name": words.chart_text(row.label),
        "x": values, "y": [at - m.rise for m in found],
        "error_x": asymmetric(values, [m.low for m in found], [m.high for m in found]) if bounded else None,
        "marker": {
            "color": colour, "size": 8, "symbol": [m.symbol for m in found], "line": {"color": colour, "width": 1.5},
        },
        "customdata": [m.hover for m in found], "hovertemplate": "%{customdata}<extra></extra>",
    }


def _texts(places: Sequence[tuple[float, float, str]]) -> dict[str, Any]:
    """Text to the right of (x, y)."""
    return {
        "type": "scatter", "mode": "text", "hoverinfo": "skip", "cliponaxis": False,
        "x": [x for x, _, _ in places], "y": [y for _, y, _ in places],
        "text": [f" {words.chart_text(text)}" for _, _, text in places],
        "textposition": "middle right", "textfont": {"size": 12, "color": "var(--ink)"},
    }


def _error(values: Sequence[Value], reach: float) -> dict[str, Any]:
    highs = [None if v.high is None else min(v.high, reach) for v in values]
    return asymmetric([v.value for v in values], [v.low for v in values], highs)


def absent_note(at: float, row: Row, x: float = 0, text: str | None = None) -> dict[str, Any]:
    """The note in place of a row's marks: `text`, or else the status of the case."""
    text = text or ("no figure" if row.ok else words.status(row.summary.status))
    return {
        "x": x, "y": at, "text": f" {words.chart_text(text)}", "showarrow": False, "xanchor": "left",
        "yanchor": "middle", "font": {"size": 12, "color": "var(--muted)"},
    }


def rows_figure(
    data: list[dict[str, Any]], rows: Sequence[Row], place: RowPositions, axis: str, span: list[float],
    notes: list[dict[str, Any]], height: int = ROW_HEIGHT,
) -> Figure:
    """A chart with one row per case. span: of the horizontal axis; height: of a row, in pixels."""
    layout = layout_of(axis)
    headings = [
        {
            "x": 0, "xref": "paper", "xanchor": "right", "xshift": -6, "y": at, "yanchor": "middle", "showarrow": False,
            "text": f"<i>{words.chart_text(text)}</i>", "font": {"size": 12, "color": "var(--muted)"},
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


def _row_axis(positions: Sequence[float], names: Sequence[str], end: float) -> dict[str, Any]:
    """A vertical axis of named rows, counted downwards; its invisible ticks keep names and bars apart."""
    return {
        "autorange": False, "range": [end - 0.4, -0.6], "tickvals": list(positions), "showgrid": False,
        "ticktext": [words.chart_text(name) for name in names], "zeroline": False, "fixedrange": True,
        "ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)",
    }
