"""Numbers and names as the site's readers see them."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

NONE: Final = "–"
KIB, MIB, GIB = 2**10, 2**20, 2**30

_NAMES: Final = {
    "pytorch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX",
    "keras-pytorch": "Keras on PyTorch", "keras-tensorflow": "Keras on TensorFlow", "keras-jax": "Keras on JAX",
    "xception": "Xception", "inception_v3": "Inception V3", "resnet50": "ResNet-50", "resnet101": "ResNet-101",
    "resnet152": "ResNet-152", "vgg16": "VGG-16",
    "default": "default", "compiled": "compiled", "tuned": "tuned",
    "cpu": "CPU", "cuda": "CUDA",
}
_STATUSES: Final = {
    "ok": "ok", "out_of_memory": "out of memory", "timeout": "time limit reached", "failed": "failed",
    "unsupported": "unsupported",
}


class Estimate(Protocol):
    """A median with the bounds of its 95 % interval, None where there are too few samples."""

    @property
    def median(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float | None:
        """The lower bound."""

    @property
    def high(self) -> float | None:
        """The upper bound."""


def name(identifier: str) -> str:
    """A framework's, network's or recipe's name in its owners' spelling; unknown ones as they are."""
    return _NAMES.get(identifier, identifier)


def status(identifier: str) -> str:
    """A status in words."""
    return _STATUSES.get(identifier, identifier)


def number(value: float, decimals: int | None = None) -> str:
    """Three significant digits or the decimals asked for, thousands set apart by commas."""
    places = significant_decimals(value) if decimals is None else decimals
    return f"{value:,.{places}f}"


def significant_decimals(value: float, digits: int = 3) -> int:
    """How many decimals show `digits` significant digits; 0 for a value that has more before the point."""
    if value == 0 or not math.isfinite(value):
        return 0
    rounded = float(f"{value:.{digits - 1}e}")  # 9.999 shows as 10.0, not as 10.00
    return max(0, digits - 1 - math.floor(math.log10(abs(rounded))))


def interval(estimate: Estimate, scale: float = 1.0) -> str:
    """`12.3 [12.1, 12.5]`: the median and its bounds times `scale`, with decimals that let the bounds be told apart."""
    low, high = (None if bound is None else bound * scale for bound in (estimate.low, estimate.high))
    return bounded(estimate.median * scale, low, high)


def bounded(middle: float, low: float | None, high: float | None) -> str:
    """A value with its bounds, as `interval`; alone where it has none."""
    if low is None or high is None:
        return number(middle)
    least, most = edges(middle, low, high)
    places = significant_decimals(middle) if _wide(low, high) else interval_decimals(middle, low, high)
    return f"{number(middle, places)} [{least}, {most}]"


def edges(middle: float, low: float, high: float) -> tuple[str, str]:
    """An interval's bounds: with the middle's decimals, or each with its own where they are far apart."""
    if _wide(low, high):
        return _far(low), _far(high)
    places = interval_decimals(middle, low, high)
    return number(low, places), number(high, places)


def _wide(low: float, high: float) -> bool:
    """Whether bounds are so far apart that the same decimals do not suit both."""
    return low > 0 and high / low > 20


def _far(value: float) -> str:
    return number(value) if value >= 0.001 else f"{value:.0e}"


def interval_decimals(middle: float, low: float, high: float) -> int:
    """Three significant digits of the middle, up to five where the interval is narrower than those show."""
    wanted = significant_decimals((high - low) / 2, 1) if high > low else 0
    return min(max(significant_decimals(middle), wanted), significant_decimals(middle, 5))


def ratio(value: float) -> str:
    """`1.8×`"""
    return f"{number(value, 2 if value < 1.1 else 1 if value < 10 else 0)}×"


def count(value: int) -> str:
    """`22,855,952`"""
    return f"{value:,}"


def millions(value: float) -> str:
    """`22.9 M`"""
    return f"{number(value / 1e6)} M"


def mebibytes(value: float) -> str:
    """`312 MiB`"""
    return f"{number(value / MIB)} MiB"


def gibibytes(value: float) -> str:
    """`7.8 GiB`"""
    return f"{value / GIB:.1f} GiB"


def seconds(value: float) -> str:
    """`3.20 s`, or milliseconds below a tenth of a second."""
    return f"{number(value * 1e3)} ms" if abs(value) < 0.1 else f"{number(value)} s"


def percent(value: float, decimals: int = 1) -> str:
    """`79.0 %`, never broken over two lines."""
    return f"{value:.{decimals}f}\u00a0%"


def moment(iso: str) -> str:
    """`2026-01-01 12:00 UTC` of an ISO 8601 time; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return iso


def steps(least: int, most: int) -> str:
    """`n = 12` or `n = 12 to 60`"""
    return f"n = {count(least)}" if least == most else f"n = {count(least)} to {count(most)}"


def listing(words: list[str]) -> str:
    """`a, b and c`"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def plural(amount: int, noun: str) -> str:
    """`1 case`, `2 cases`, `3 processes`, `4 queries`"""
    if amount == 1:
        return f"{count(amount)} {noun}"
    stem, ending = (noun[:-1], "ies") if noun.endswith("y") else (noun, "es" if noun.endswith("s") else "s")
    return f"{count(amount)} {stem}{ending}"


def span(least: int, most: int, noun: str) -> str:
    """`3 processes`, or `1 to 3 processes` where cases differ."""
    return plural(least, noun) if least == most else f"{count(least)} to {plural(most, noun)}"


def queries(value: float) -> str:
    """`12.3 queries/s`"""
    return f"{number(value)} queries/s"


def rate(flops_per_s: float) -> str:
    """`123 GFLOP/s`"""
    return f"{number(flops_per_s / 1e9)} GFLOP/s"


def bandwidth(bytes_per_s: float) -> str:
    """`12.3 GB/s`"""
    return f"{number(bytes_per_s / 1e9)} GB/s"


def joules(value: float) -> str:
    """`0.412 J`"""
    return f"{number(value)} J"


def or_none(value: float | None, show: Callable[[float], str] = number) -> str:
    """A value, or a dash where there is none."""
    return NONE if value is None else show(value)


def chart_text(text: str) -> str:
    """Text that Plotly shows as it stands: its labels understand a little HTML."""
    return html.escape(text, quote=False)
