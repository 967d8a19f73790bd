"""Charts with two numeric axes, as Plotly JSON: marks, and lines through the points of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dashboards import words
from dashboards.content import Figure, Key
from dashboards.runs import Row
from dashboards.style import asymmetric, framework_colour, named, reach_of, recipe_dash, recipe_symbol
from dashboards.style import layout as layout_of
from xibench.record.marks import BRACKETED

HEIGHT: Final = 340


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve with its bounds and hover text; a hollow point exceeded a limit."""

    x: float
    y: float
    hover: str
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one framework and recipe, in order of x."""

    framework: str
    recipe: str
    points: tuple[Point, ...]


def lines(curves: Sequence[Curve], x: str, y: str) -> Figure:
    """Lines on a vertical axis from 0; an error bar far beyond every point is cut off at the edge."""
    points = [p for curve in curves for p in curve.points]
    reach = reach_of([p.y for p in points], [p.high for p in points])
    figure = scatter([_curve(curve, reach) for curve in curves if curve.points], x, y, HEIGHT)
    figure["layout"]["yaxis"] |= {"range": [0, 1.06 * reach or 1], "autorange": False}
    return figure


def scatter(traces: list[dict[str, Any]], x: str, y: str, height: int = 420) -> Figure:
    """A chart of traces on two axes; height in pixels."""
    layout = layout_of(x)
    layout |= {
        "height": height, "showlegend": False, "hovermode": "closest",
        "margin": {"l": 58, "r": 16, "t": 8, "b": 52},
    }
    layout["yaxis"] = named(y) | {"zeroline": False, "nticks": 8}
    return {"data": traces, "layout": layout}


def marks(
    points: Sequence[Point], symbol: str, colours: Sequence[str], name: str, size: int = 15, width: float = 1.75
) -> dict[str, Any]:
    """A trace of extra marks over the curves, such as rings or crosses."""
    return {
        "type": "scatter", "mode": "markers", "name": name, "cliponaxis": False,
        "x": [p.x for p in points], "y": [p.y for p in points],
        "marker": {
            "symbol": symbol, "size": size, "color": list(colours), "line": {"width": width, "color": list(colours)},
        },
        "customdata": [p.hover for p in points], "hovertemplate": "%{customdata}<extra></extra>",
    }


def keys(rows: Sequence[Row]) -> tuple[Key, ...]:
    """Legend entries for the colours of frameworks and the symbols of recipes."""
    frameworks = dict.fromkeys(row.case.framework for row in rows)
    recipes = dict.fromkeys(row.case.recipe for row in rows)
    return (
        *(Key(words.name(framework), framework_colour(framework)) for framework in frameworks),
        *(Key(words.name(recipe), "var(--muted)", recipe_symbol(recipe)) for recipe in recipes),
    )


def hollow_key(rows: Sequence[Row], symbol: str = "hollow") -> tuple[Key, ...]:
    """The legend entry of hollow points or bars, if the figure of any of these rows is not ranked."""
    key = Key(f"{BRACKETED.symbol} not ranked, see Notes", "var(--muted)", symbol)
    return (key,) if any(row.summary.bracketed for row in rows) else ()


def _curve(curve: Curve, reach: float) -> dict[str, Any]:
    colour, symbol = framework_colour(curve.framework), recipe_symbol(curve.recipe)
    bounded = any(p.low is not None or p.high is not None for p in curve.points)
    values = [p.y for p in curve.points]
    highs = [None if p.high is None else min(p.high, reach) for p in curve.points]
    error = asymmetric(values, [p.low for p in curve.points], highs) | {"color": colour}
    return {
        "type": "scatter", "mode": "lines+markers", "cliponaxis": False,
        "name": words.chart_text(f"{words.name(curve.framework)} {words.name(curve.recipe)}"),
        "x": [p.x for p in curve.points], "y": values,
        "line": {"color": colour, "width": 2, "dash": recipe_dash(curve.recipe)},
        "error_y": error if bounded else {"visible": False},
        "marker": {
            "color": colour, "size": 8, "symbol": [f"{symbol}-open" if p.hollow else symbol for p in curve.points],
            "line": {"color": colour, "width": 1.5},
        },
        "customdata": [p.hover for p in curve.points], "hovertemplate": "%{customdata}<extra></extra>",
    }
