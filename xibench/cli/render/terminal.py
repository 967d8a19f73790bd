"""Consoles, tables and names of cases for the terminal. `xibench.record.format` formats figures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TextIO

from xibench.record.text import printable
from xibench.scenarios import case_name as case_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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


def show(table: Table, file: TextIO | None = None, width: int | None = None) -> None:
    """Print a table and an empty line."""
    output = console(file, width)
    if sum(column.max_width or output.width for column in table.columns) + 2 * len(table.columns) <= output.width:
        for column in table.columns:
            column.width, column.no_wrap = column.max_width, True  # rich would measure and break every cell again
    min_width = sum(column.min_width or 0 for column in table.columns)
    if min_width + 2 * len(table.columns) > output.width:
        table.padding = 0
    if min_width + len(table.columns) > output.width:
        for column in table.columns:
            column.min_width = None  # a figure that is broken over lines can still be read, one that is cut off cannot
    output.print(table)
    output.print()


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """Return a plain table. The columns named in `right` are right-aligned."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title), style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD,
        show_edge=False, padding=(0, 1, 0, 0), show_header=any(columns),
    )  # fmt: skip
    cells = [tuple(map(printable, row)) for row in rows]
    for i, column in enumerate(columns):
        texts = (column, *(row[i] for row in cells))
        longest = max((cell_len(line) for text in texts for line in text.splitlines()), default=0)
        words = " ".join(texts).split()
        min_width = min(max(map(len, words), default=1), LONGEST_WORD)  # a figure is not broken in a narrow terminal
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(
            Text(column), justify=side, overflow="fold", min_width=min_width, max_width=max(longest, min_width)
        )
    for row in cells:
        table.add_row(*map(Text, row))
    return table
