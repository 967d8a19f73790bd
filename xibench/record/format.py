"""Figures as people read them: units, significant digits, intervals, counts of things. Nothing here computes a figure.

Tables on a terminal are narrow and the site has room, so that some figures have two forms. Terminal: `figures`,
`seconds`, `size`, `count`, `percent`, `interval`, `counted`. Site and documents: `number`, `seconds_or_ms`,
`mebibytes`, `grouped`, `percentage`, `estimate`, `plural`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from xibench.measure.statistics import Percentile
    from xibench.record.metrics import Metric, Value

NONE: Final = "–"
MIB: Final = 2**20
GIB: Final = 2**30


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


# Metrics: by what the registry says of them.


def heading(metric: Metric[Any]) -> str:
    """The heading of a metric's column, its unit on a second line: `images/s`, `[95 %]`."""
    bounds = "[95 %]" if metric.kind != "number" and metric.bounds else ""
    below = f"{bounds} {metric.shown_unit}".strip()
    return f"{metric.heading}\n{below}" if below else metric.heading


def figure(metric: Metric[Any], value: Value | None) -> str:
    """A metric's value in a table: in the unit of its column's heading, with its bounds where they are shown."""
    from xibench.measure.statistics import Interval, Percentile

    match value:
        case None:
            return NONE
        case Interval():
            return interval(value, metric.scale) if metric.bounds else figures(value.median * metric.scale)
        case Percentile():
            return percentile(value, metric.scale)
    match metric.style:
        case "bytes":
            return size(round(value))
        case "percent":
            return percent(value)
    return figures(value * metric.scale)


def sentence(metric: Metric[Any], value: Value | None) -> str:
    """A metric's value in a line of text: `6.12 [6.01, 6.20] images/s`, `p50 45.1 ms`."""
    if metric.shown_unit:
        return f"{metric.label} {figure(metric, value)} {metric.shown_unit}"
    return f"{figure(metric, value)} {metric.label}"


# Numbers.


def figures(value: float) -> str:
    """Three significant figures, without an exponent from 0.001 upwards."""
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    if magnitude >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def number(value: float, decimals: int | None = None) -> str:
    """Three significant digits or the decimals asked for, thousands separated by commas."""
    places = significant_decimals(value) if decimals is None else decimals
    return f"{value:,.{places}f}"


def significant_decimals(value: float, digits: int = 3) -> int:
    """How many decimals show `digits` significant digits; 0 for a value that has more before the point."""
    if value == 0 or not math.isfinite(value):
        return 0
    rounded = float(f"{value:.{digits - 1}e}")  # 9.999 shows as 10.0, not as 10.00
    return max(0, digits - 1 - math.floor(math.log10(abs(rounded))))


def or_none(value: float | None, show: Callable[[float], str] = number) -> str:
    """A value, or a dash where there is none."""
    return NONE if value is None else show(value)


def percent(share: float | None) -> str:
    """A share: `31 %`, `2.4 %`."""
    if share is None:
        return NONE
    return f"{share * 100:.0f} %" if abs(share) >= 0.1 else f"{share * 100:.2g} %"


def percentage(value: float, decimals: int = 1) -> str:
    """`79.0 %` of a value that is in percent, never broken over two lines."""
    return f"{value:.{decimals}f}\u00a0%"


def ratio(value: float) -> str:
    """`1.8×`"""
    return f"{number(value, 2 if value < 1.1 else 1 if value < 10 else 0)}×"


def error(value: float) -> str:
    """A relative error: `3.1e-15`."""
    return f"{value:.1e}"


# Values with bounds.


def interval(value: Estimate | None, factor: float = 1.0) -> str:
    """`6.12 [6.01, 6.20]`: the median times `factor`, and its 95 % interval; `[too few]` where there is none."""
    if value is None:
        return NONE
    middle = figures(value.median * factor)
    if value.low is None or value.high is None:
        return f"{middle} [too few]"
    return f"{middle} [{figures(value.low * factor)}, {figures(value.high * factor)}]"


def percentile(value: Percentile | None, factor: float = 1.0) -> str:
    """`45.1 [44.0, 47.3]`, times `factor`; `– (needs 473)` where that many samples would be needed to know it."""
    if value is None:
        return NONE
    if value.value is None:
        return f"{NONE} (needs {value.needed})"
    if value.low is None or value.high is None:
        return figures(value.value * factor)
    return f"{figures(value.value * factor)} [{figures(value.low * factor)}, {figures(value.high * factor)}]"


def estimate(value: Estimate, scale: float = 1.0) -> str:
    """`12.3 [12.1, 12.5]`: the median and its bounds times `scale`, with decimals that tell the bounds apart."""
    low, high = (None if bound is None else bound * scale for bound in (value.low, value.high))
    return bounded(value.median * scale, low, high)


def bounded(middle: float, low: float | None, high: float | None) -> str:
    """A value with its bounds, as `estimate`; alone where it has none."""
    if low is None or high is None:
        return number(middle)
    lower, upper = edges(middle, low, high)
    places = significant_decimals(middle) if _far_apart(low, high) else _interval_decimals(middle, low, high)
    return f"{number(middle, places)} [{lower}, {upper}]"


def edges(middle: float, low: float, high: float) -> tuple[str, str]:
    """An interval's bounds: with the middle's decimals, or each with its own where they are far apart."""
    if _far_apart(low, high):
        lower, upper = (number(bound) if bound >= 0.001 else f"{bound:.0e}" for bound in (low, high))
        return lower, upper
    places = _interval_decimals(middle, low, high)
    return number(low, places), number(high, places)


def _far_apart(low: float, high: float) -> bool:
    """Whether bounds are so far apart that the same decimals do not suit both."""
    return low > 0 and high / low > 20


def _interval_decimals(middle: float, low: float, high: float) -> int:
    """Three significant digits of the middle, up to five where the interval is narrower than those show."""
    wanted = significant_decimals((high - low) / 2, 1) if high > low else 0
    return min(max(significant_decimals(middle), wanted), significant_decimals(middle, 5))


# Units.


def seconds(value: float | None) -> str:
    """`3.20 s`, `45.1 ms`, `2 min 5 s`: three figures that matter."""
    if value is None:
        return NONE
    if value >= 100:
        return duration(value)
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= factor:
            return f"{figures(value / factor)} {unit}"
    return f"{figures(value / 1e-9)} ns"


def seconds_or_ms(value: float) -> str:
    """`3.20 s`, or milliseconds below a tenth of a second."""
    return f"{number(value * 1e3)} ms" if abs(value) < 0.1 else f"{number(value)} s"


def duration(value: float) -> str:
    """Whole seconds, for progress: `42 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rough_duration(value: float) -> str:
    """A duration that is estimated, in whole minutes from two on, else in tens of seconds: `31 min`, `40 s`."""
    return f"{round(value / 60)} min" if value >= 120 else f"{max(10, round(value, -1)):.0f} s"


def size(value: int | None) -> str:
    """Bytes in powers of 1024: `512 MiB`."""
    if value is None:
        return NONE
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{figures(amount)} {unit}" if unit != "B" else f"{value} B"
        amount /= 1024
    return f"{figures(amount)} TiB"


def mebibytes(value: float) -> str:
    """`312 MiB`"""
    return f"{number(value / MIB)} MiB"


def gibibytes(value: float) -> str:
    """`7.8 GiB`"""
    return f"{value / GIB:.1f} GiB"


def count(value: float | None, unit: str = "") -> str:
    """Counts in powers of 1000: `8.36 G`, `22.9 M`; `unit` follows the prefix."""
    if value is None:
        return NONE
    amount = float(value)
    for prefix in ("", "k", "M", "G", "T"):
        if abs(amount) < 1000 or prefix == "T":
            break
        amount /= 1000
    text = f"{amount:.0f}" if not prefix else figures(amount)
    return f"{text} {prefix}{unit}".rstrip()


def grouped(value: int) -> str:
    """`22,855,952`"""
    return f"{value:,}"


def millions(value: float) -> str:
    """`22.9 M`"""
    return f"{number(value / 1e6)} M"


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


# Counts of things, and lists of them.


def counted(amount: int, noun: str) -> str:
    """`1 step`, `12 steps`, `3 processes`, `4 queries`."""
    if amount == 1:
        return f"1 {noun}"
    return f"{amount} {noun[:-1]}ies" if noun.endswith("y") else f"{amount} {noun}{'es' if noun.endswith('s') else 's'}"


def plural(amount: int, noun: str) -> str:
    """As `counted`, with thousands separated: `1,200 steps`."""
    return f"{grouped(amount)} {counted(amount, noun).partition(' ')[2]}"


def span(low: int, high: int, noun: str) -> str:
    """`3 processes`, or `1 to 3 processes` where cases differ."""
    return plural(low, noun) if low == high else f"{grouped(low)} to {plural(high, noun)}"


def steps(low: int, high: int) -> str:
    """`n = 12` or `n = 12 to 60`"""
    return f"n = {grouped(low)}" if low == high else f"n = {grouped(low)} to {grouped(high)}"


def listing(words: Sequence[str]) -> str:
    """`a, b and c`"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def few(names: Sequence[str], most: int = 3) -> str:
    """Some names and how many more there are: `a; b; c; and 4 more`."""
    return "; ".join(names[:most]) + (f"; and {len(names) - most} more" if len(names) > most else "")
