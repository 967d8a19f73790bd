"""What a page is made of. Pages are data; templates turn them into HTML and escape every string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Figure = dict[str, Any]
"""Plotly's JSON: `data` and `layout`."""


@dataclass(frozen=True, slots=True)
class Link:
    """A word that leads somewhere."""

    text: str
    address: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A table cell that the reader should notice, with the word that says why."""

    text: str
    why: str


Cell = str | Link | Marked


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first names its row. `numeric`: columns set flush right in tabular figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""
    fold: str = ""  # when set, the table is folded away under this title


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: a colour (a variable of the style sheet) and a symbol.

    Symbols: circle, square, diamond, triangle-up, hollow (a diamond's outline), ring, cross, line, tick.
    """

    name: str
    colour: str
    symbol: str = "square"


@dataclass(frozen=True, slots=True)
class Chart:
    """One Plotly drawing; `summary` is what a reader who cannot see it is told."""

    figure: Figure
    heading: str
    summary: str
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """Charts that answer one question together: a takeaway computed from data, then charts, then what they rest on."""

    title: str
    takeaways: tuple[str, ...]
    charts: tuple[Chart, ...]
    caption: tuple[str, ...]
    table: Table | None = None
    columns: int = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and their values."""

    items: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs. kind: plain, or note for what the reader should not overlook, or code for a command."""

    paragraphs: tuple[str, ...]
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Fold:
    """Text as it was written, such as a worker's last output, folded away under a title."""

    title: str
    text: str


Block = FigureBlock | Table | Facts | Prose | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One question and its answer."""

    file: str
    short: str  # in the navigation
    title: str
    question: str
    sections: tuple[Section, ...]
    intro: str = ""
