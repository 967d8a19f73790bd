"""The form of what the terminal shows: consoles, tables, and the names of cases. Figures: `xibench.record.format`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, TextIO

from xibench.scenarios import qualifier

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from xibench.record.schema import Case

LONGEST_WORD: Final = 16  # characters; longer words, such as paths, are broken in a narrow table
PLAIN_WIDTH: Final = 160  # characters per line where the output is no terminal: wide enough that nothing is cut


def console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A rich console on `file` (stdout), as wide as its terminal, or PLAIN_WIDTH where it is none."""
    from rich.console import Console

    target = file or sys.stdout
    width = width or (None if target.isatty() else PLAIN_WIDTH)
    return Console(file=target, width=width, highlight=False, soft_wrap=False, markup=False)


def show(table: Table, file: TextIO | None = None, width: int | None = None) -> None:
    """Prints a table and an empty line."""
    output = console(file, width)
    min_width = sum(column.min_width or 0 for column in table.columns)
    if min_width + 2 * len(table.columns) > output.width:
        table.padding = 0
    if min_width + len(table.columns) > output.width:
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
        min_width = min(max(map(len, words), default=1), LONGEST_WORD)  # a figure is not broken in a narrow terminal
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(column), justify=side, overflow="fold", min_width=min_width)
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
