"""What all drawings share: type, colours and axes. Colours are the style sheet's variables (see static/charts.js)."""

from __future__ import annotations

import math
from typing import Any, Final

FARTHEST: Final = 1.8
GOES_ON: Final = "▸"  # an interval goes on beyond the drawing


def layout(axis: str) -> dict[str, Any]:
    """A drawing whose horizontal axis is named `axis`."""
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
        "xaxis": named(axis),
    }


def named(title: str) -> dict[str, Any]:
    """An axis with its name."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": "var(--muted)"}}, "fixedrange": True,
        "gridcolor": "var(--grid)", "zerolinecolor": "var(--axis)", "tickfont": {"color": "var(--muted)"}, "nticks": 6,
    }


def logarithmic(low: float, high: float, digits: tuple[int, ...] = (1, 2, 5)) -> dict[str, Any]:
    """A logarithmic axis from low to high (both above 0) with ticks at these digits of each decade."""
    ticks = [v for e in range(-12, 16) for d in digits if low <= (v := d * 10.0**e) <= high]
    return {
        "type": "log", "autorange": False, "range": [math.log10(low), math.log10(high)], "tickmode": "array",
        "tickvals": ticks, "ticktext": [f"{v:,.0f}" if v >= 1 else f"{v:g}" for v in ticks], "zeroline": False,
    }


def reach_of(values: list[float], highs: list[float | None]) -> float:
    """How far intervals are drawn: to the highest bound, but not beyond FARTHEST times the largest value."""
    largest = max(values, default=0.0)
    return min(max([largest, *(high for high in highs if high is not None)]), FARTHEST * largest)


def asymmetric(values: list[float], lows: list[float | None], highs: list[float | None]) -> dict[str, Any]:
    """Bounds around values; a bound that is None is drawn at the value itself."""
    return {
        "type": "data", "symmetric": False, "color": "var(--ink)", "thickness": 1.5, "width": 4,
        "array": [0 if high is None else max(high - v, 0) for v, high in zip(values, highs, strict=True)],
        "arrayminus": [0 if low is None else max(v - low, 0) for v, low in zip(values, lows, strict=True)],
    }
