"""The visual encoding that all charts share: colours, patterns, symbols, fonts and axes.

A framework's colours are part of its descriptor; every other colour is a variable in static/site.css (see
static/charts.js).
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Final

from frameworks.api import IMPLEMENTATIONS

_PATTERNS: Final = {"default": "", "compiled": "/", "tuned": "x"}
_SYMBOLS: Final = {"default": "circle", "compiled": "square", "tuned": "diamond"}
_DASHES: Final = {"default": "solid", "compiled": "dot", "tuned": "dash"}
_OWN_PATTERNS, _OWN_SYMBOLS = (".", "+", "|", "-", "\\"), ("triangle-up", "cross")
_OWN_DASHES: Final = ("longdash", "dashdot", "longdashdot")
_KINDS: Final = {
    "pointwise": "var(--part-1)", "conv": "var(--part-2)", "depthwise": "var(--part-3)", "dense": "var(--part-4)",
    "grouped": "var(--other)",
}  # fmt: skip
_FAMILIES: Final = {
    "xception": ("Xception", "var(--part-1)", "circle"),
    "inception_v3": ("Inception V3", "var(--part-3)", "square"),
    "resnet": ("ResNet", "var(--part-2)", "diamond"),
    "aligned_xception": ("aligned Xception", "var(--part-4)", "triangle-up"),
}
MAX_REACH: Final = 1.8  # times the largest value: error bars are cut off there
PHASES: Final = ("var(--part-4)", "var(--part-2)", "var(--part-3)", "var(--part-1)")


def framework_colour(framework: str) -> str:
    """The CSS variable with an implementation's colour, the same on every page."""
    return f"var(--{framework})" if framework in IMPLEMENTATIONS else "var(--other)"


def framework_colours() -> str:
    """CSS that sets the colour variable of each implementation, for light and dark pages."""
    light, dark = (
        "".join(f"  --{name}: {framework.colour[i]};\n" for name, framework in IMPLEMENTATIONS.items()) for i in (0, 1)
    )
    return f":root {{\n{light}}}\n\n@media (prefers-color-scheme: dark) {{\n:root {{\n{dark}}}\n}}\n\n"


def recipe_pattern(recipe: str) -> str:
    """The hatch pattern of a recipe's bars."""
    return _PATTERNS[recipe] if recipe in _PATTERNS else _own(recipe, _OWN_PATTERNS)


def recipe_symbol(recipe: str, hollow: bool = False) -> str:
    """The marker symbol of a recipe's points."""
    return (_SYMBOLS.get(recipe) or _own(recipe, _OWN_SYMBOLS)) + ("-open" if hollow else "")


def recipe_dash(recipe: str) -> str:
    """The dash style of a recipe's lines."""
    return _DASHES.get(recipe) or _own(recipe, _OWN_DASHES)


def _own(recipe: str, marks: tuple[str, ...]) -> str:
    """A style for a recipe with explicit choices: deterministic, and rarely shared with another recipe."""
    return marks[zlib.crc32(recipe.encode()) % len(marks)]


def kind_colour(kind: str) -> str:
    """The colour of a layer kind."""
    return _KINDS.get(kind, "var(--other)")


def family(name: str) -> tuple[str, str, str]:
    """Name, colour and symbol of a network family in the published accuracies."""
    return _FAMILIES.get(name, (name, "var(--other)", "x"))


def layout(axis: str) -> dict[str, Any]:
    """The layout of a chart whose horizontal axis has the title `axis`."""
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
    """An axis with a title."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12.5, "color": "var(--muted)"}}, "fixedrange": True,
        "gridcolor": "var(--grid)", "zerolinecolor": "var(--axis)", "tickfont": {"color": "var(--muted)"}, "nticks": 6,
    }


def logarithmic(low: float, high: float, digits: tuple[int, ...] = (1, 2, 5)) -> dict[str, Any]:
    """A logarithmic axis from low to high (both positive) with ticks at these digits of each decade."""
    ticks = [v for e in range(-12, 16) for d in digits if low <= (v := d * 10.0**e) <= high]
    return {
        "type": "log", "autorange": False, "range": [math.log10(low), math.log10(high)], "tickmode": "array",
        "tickvals": ticks, "ticktext": [f"{v:,.0f}" if v >= 1 else f"{v:g}" for v in ticks], "zeroline": False,
    }


def reach_of(values: list[float], highs: list[float | None]) -> float:
    """Where error bars end: at the highest upper bound, but at most at MAX_REACH times the largest value."""
    largest = max(values, default=0.0)
    return min(max([largest, *(high for high in highs if high is not None)]), MAX_REACH * largest)


def asymmetric(values: list[float], lows: list[float | None], highs: list[float | None]) -> dict[str, Any]:
    """Plotly error bars around values; a missing bound is drawn at the value itself."""
    return {
        "type": "data", "symmetric": False, "color": "var(--ink)", "thickness": 1.5, "width": 4,
        "array": [0 if high is None else max(high - v, 0) for v, high in zip(values, highs, strict=True)],
        "arrayminus": [0 if low is None else max(v - low, 0) for v, low in zip(values, lows, strict=True)],
    }
