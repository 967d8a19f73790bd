"""The elements of a page. Pages are data; templates turn them into HTML and escape every string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Figure = dict[str, Any]
"""Plotly JSON: `data` and `layout`."""


@dataclass(frozen=True, slots=True)
class Link:
    """A hyperlink."""

    text: str
    address: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A highlighted table cell with the reason for the highlight."""

    text: str
    why: str


Cell = str | Link | Marked


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first cell is the row heading. `numeric`: columns aligned right in tabular figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""
    fold: str = ""  # if set, the table is collapsed under this title


@dataclass(frozen=True, slots=True)
class Key:
    """A legend entry: a colour (a variable of the style sheet) and a symbol.

    Symbols: circle, square, diamond, triangle-up, hollow (an outlined diamond), ring, cross, line, tick.
    """

    name: str
    colour: str
    symbol: str = "square"


@dataclass(frozen=True, slots=True)
class Chart:
    """A Plotly chart; `summary` is its text alternative for screen readers."""

    figure: Figure
    heading: str
    summary: str
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """What qualifies figures, with the cases that it applies to. Equal notes of a page are shown once, below all of it.

    Attributes:
        text: The note, without the full stop.
        cases: Names of the cases; empty: it is not about single cases.
    """

    text: str
    cases: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = [*self.cases[:MAX_NAMED]]
        if len(self.cases) > MAX_NAMED:
            shown.append(f"{len(self.cases) - MAX_NAMED} more")
        return f"{self.text}: {'; '.join(shown)}." if shown else f"{self.text}."


MAX_NAMED: Final = 6  # cases that a note names


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """Charts that answer one question together: takeaways computed from data, the charts, then their caption.

    The notes of a caption are shown at the end of the page, each once.
    """

    title: str
    takeaways: tuple[str, ...]
    charts: tuple[Chart, ...]
    caption: tuple[str | Note, ...]
    table: Table | None = None
    columns: int = 2


@dataclass(frozen=True, slots=True)
class Tile:
    """A sparkline that leads to a chart.

    Attributes:
        title: What it is a line of.
        state: A word for what is known of it; empty: nothing to say.
        alert: Whether the state asks for attention.
        value: Its last value, with the unit.
        line: Points of the line in a box of 100 x 24, y downwards: `x,y x,y`.
        marks: Where something changed, in the same box.
        address: Where it leads.
    """

    title: str
    state: str
    alert: bool
    value: str
    line: str
    marks: tuple[tuple[float, float], ...]
    address: str


@dataclass(frozen=True, slots=True)
class Wall:
    """Sparklines side by side, the one that needs most attention first."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A list of names and values."""

    items: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs. kind: plain, note (highlighted) or code (a command)."""

    paragraphs: tuple[str, ...]
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Fold:
    """Preformatted text, such as the last output of a worker, collapsed under a title."""

    title: str
    text: str


Block = FigureBlock | Table | Facts | Prose | Fold | Wall


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; `key` is the anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: one question, its answer, and the notes on its figures."""

    file: str
    short: str  # in the navigation
    title: str
    question: str
    sections: tuple[Section, ...]
    intro: str = ""
    notes: tuple[str, ...] = ()
