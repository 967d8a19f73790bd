"""How figures are shown to people: units, intervals and the form of a table. Nothing here computes a figure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, TextIO

from xibench.scenarios import qualifier

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from xibench.measure.statistics import Interval, Percentile
    from xibench.record.schema import Case

NONE: Final = "–"
LONGEST_WORD: Final = 16  # characters; longer words, such as paths, are broken in a narrow table
PLAIN_WIDTH: Final = 160  # characters per line where the output is no terminal: wide enough that nothing is cut


def seconds(value: float | None) -> str:
    """`3.2 s`, `45.1 ms`, `2 min 5 s`: three figures that matter."""
    if value is None:
        return NONE
    if value >= 100:
        return duration(value)
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= factor:
            return f"{figures(value / factor)} {unit}"
    return f"{figures(value / 1e-9)} ns"


def duration(value: float) -> str:
    """Whole seconds, for progress: `42 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(value: int | None) -> str:
    """Bytes in powers of 1024: `512 MiB`."""
    if value is None:
        return NONE
    number = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{figures(number)} {unit}" if unit != "B" else f"{value} B"
        number /= 1024
    return f"{figures(number)} TiB"


def count(value: float | None, unit: str = "") -> str:
    """Counts in powers of 1000: `8.36 G`, `22.9 M`; `unit` follows the prefix."""
    if value is None:
        return NONE
    number = float(value)
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 1000 or prefix == "T":
            break
        number /= 1000
    text = f"{number:.0f}" if not prefix else figures(number)
    return f"{text} {prefix}{unit}".rstrip()


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


def cases(number: int) -> str:
    """`1 case`, `12 cases`."""
    return counted(number, "case")


def counted(number: int, word: str) -> str:
    """`1 step`, `12 steps`, `3 processes`."""
    ending = "" if number == 1 else "es" if word.endswith("s") else "s"
    return f"{number} {word}{ending}"


def interval(value: Interval | None, factor: float = 1.0) -> str:
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


def percent(share: float | None) -> str:
    """A share: `31 %`, `2.4 %`."""
    if share is None:
        return NONE
    return f"{share * 100:.0f} %" if abs(share) >= 0.1 else f"{share * 100:.2g} %"


def error(value: float) -> str:
    """A relative error: `3.1e-15`."""
    return f"{value:.1e}"


def few(names: Sequence[str], most: int = 3) -> str:
    """Some names and how many more there are: `a; b; c; and 4 more`."""
    return "; ".join(names[:most]) + (f"; and {len(names) - most} more" if len(names) > most else "")


def console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A rich console on `file` (stdout), as wide as its terminal, or PLAIN_WIDTH where it is none."""
    from rich.console import Console

    target = file or sys.stdout
    width = width or (None if target.isatty() else PLAIN_WIDTH)
    return Console(file=target, width=width, highlight=False, soft_wrap=False, markup=False)


def show(table: Table, file: TextIO | None = None, width: int | None = None) -> None:
    """Prints a table and an empty line."""
    output = console(file, width)
    least = sum(column.min_width or 0 for column in table.columns)
    if least + 2 * len(table.columns) > output.width:
        table.padding = 0
    if least + len(table.columns) > output.width:
        for column in table.columns:
            column.min_width = None  # better a broken figure than one that is cut off
    output.print(table)
    output.print()


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in `right` are aligned there."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0), show_header=any(columns),
    )  # fmt: skip
    cells = [tuple(row) for row in rows]
    for i, column in enumerate(columns):
        words = " ".join((column, *(row[i] for row in cells))).split()
        least = min(max(map(len, words), default=1), LONGEST_WORD)  # a figure is not broken in a narrow terminal
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(column), justify=side, overflow="fold", min_width=least)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def case_name(case: Case) -> str:
    """A case in the words of the command line; the scenario only where it is not the default."""
    variant = "" if case.variant == "default" else f"/{case.variant}"
    scenario = f" {qualifier(case.scenario)}".rstrip()
    return (
        f"{case.framework} {case.model}{variant} {case.recipe} {case.precision} "
        f"batch {case.batch} {case.resolution} px {case.device}{scenario}"
    )
