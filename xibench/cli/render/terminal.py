"""Consoles, tables and names of cases for the terminal. `xibench.record.format` formats figures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TextIO

from xibench.record.text import printable
from xibench.scenarios import case_name as case_name

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_WORD: Final = 16  # characters; longer words, such as paths, are broken in a narrow table
PLAIN_WIDTH: Final = 160  # characters per line if the output is not a terminal: wide enough that nothing is cut off


def console(file: TextIO | None = None, width: int | None = None) -> Console:
    """Return a rich console that writes to `file` (default: stdout), PLAIN_WIDTH wide if that is not a terminal."""
    from rich.console import Console

    target = file or sys.stdout
    width = width or (None if target.isatty() else PLAIN_WIDTH)
    return Console(file=target, width=width, highlight=False, soft_wrap=False, markup=False)


def say(line: str, file: TextIO | None = None) -> None:
    """Print one line, whatever it contains: text of a record or of the command line does not reach the terminal raw."""
    print(printable(line), file=file, flush=file is not None)


def say_path(path: Path) -> None:
    """Print the path of what a command has written: its bytes as they are for a program that reads them."""
    if sys.stdout.isatty():
        say(str(path))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.buffer.flush()


@dataclass(frozen=True)
class Table:
    """A plain table.

    Attributes:
        title: Its first line.
        columns: Their headings, of one or more lines each; no line of headings if all are empty.
        rows: The cells, each a line of printable text.
        right: Headings of the columns that are right-aligned.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...]


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """Return a plain table. The columns named in `right` are right-aligned."""
    cells = tuple(tuple(map(printable, row)) for row in rows)
    return Table(printable(title), tuple(columns), cells, tuple(right))


def show(table: Table, file: TextIO | None = None, width: int | None = None) -> None:
    """Print a table and an empty line."""
    from rich.cells import cell_len
    from rich.text import Text

    output = console(file, width)
    headings = [column.splitlines() for column in table.columns]
    columns = list(zip(*table.rows, strict=True)) or [()] * len(headings)
    widths = [max(map(cell_len, (*lines, *cells)), default=1) for lines, cells in zip(headings, columns, strict=True)]
    if sum(widths) + 2 * len(widths) > output.width:
        _print_broken(table, widths, output)
        output.print()
        return

    def line(cells: Sequence[str]) -> str:
        aligned = []
        for cell, width, column in zip(cells, widths, table.columns, strict=True):
            gap = " " * (width - cell_len(cell))
            aligned.append(gap + cell if column in table.right else cell + gap)
        return "  ".join(aligned).rstrip()

    # Nothing has to be broken: rich, which measures every cell again, takes ten times as long.
    output.print(Text(table.title, style="bold"), soft_wrap=True)
    if any(table.columns):
        tall = max(map(len, headings))
        for cells in zip(*([""] * (tall - len(lines)) + lines for lines in headings), strict=True):
            output.print(Text(line(cells), style="bold"))
        output.print(Text("─" * (sum(widths) + 2 * len(widths) - 1)))
    if table.rows:
        output.out("\n".join(map(line, table.rows)), highlight=False)
    output.print()


def _print_broken(table: Table, widths: Sequence[int], output: Console) -> None:
    """Print a table whose cells are broken over lines where they do not fit."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(
        title=Text(table.title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD,
        show_edge=False, padding=(0, 1, 0, 0), show_header=any(table.columns),
    )  # fmt: skip
    for i, column in enumerate(table.columns):
        words = " ".join((column, *(row[i] for row in table.rows))).split()
        min_width = min(max(map(len, words), default=1), LONGEST_WORD)  # a figure is not broken in a narrow terminal
        side: Literal["left", "right"] = "right" if column in table.right else "left"
        drawn.add_column(
            Text(column), justify=side, overflow="fold", min_width=min_width, max_width=max(widths[i], min_width)
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))

    min_width = sum(each.min_width or 0 for each in drawn.columns)
    if min_width + 2 * len(drawn.columns) > output.width:
        drawn.padding = 0
    if min_width + len(drawn.columns) > output.width:
        for each in drawn.columns:
            each.min_width = None  # a figure that is broken over lines can still be read, one that is cut off cannot
    output.print(drawn)
