"""Access to the content of pages: their data, and the text and charts of built pages."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dashboards.build import build, pages_of
from dashboards.content import Cell, FigureBlock, Marked, Page, Prose, Table
from dashboards.site import Site
from tests.dashboards import examples
from xibench.record.schema import Calibration, Header, Record

Pages = dict[str, Page]
"""The pages of a site by their file names without the suffix."""


def pages_of_files(*paths: Path) -> Pages:
    return {page.file.removesuffix(".html"): page for page in pages_of(Site.read(paths))}


def pages_of_run(folder: Path, head: Header, records: Sequence[Record], *calibrations: Calibration) -> Pages:
    return pages_of_files(examples.write(folder / "run.jsonl", head, records, *calibrations))


def pages_of_records(folder: Path, *records: Record) -> Pages:
    """Return the pages of a run with ceilings whose plan is exactly these records."""
    return pages_of_run(folder, examples.header([r.case for r in records]), records, examples.calibration())


def blocks(page: Page) -> list[FigureBlock]:
    return [block for section in page.sections for block in section.blocks if isinstance(block, FigureBlock)]


def charts(page: Page) -> list[dict[str, Any]]:
    """The Plotly JSON of every chart."""
    return [chart.figure for block in blocks(page) for chart in block.charts]


def captions(page: Page) -> list[str]:
    """The captions of every figure, then the notes of the page."""
    lines = [line for block in blocks(page) for line in block.caption if isinstance(line, str)]
    return [*lines, *page.notes]


def takeaways(page: Page) -> list[str]:
    return [line for block in blocks(page) for line in block.takeaways]


def prose(page: Page) -> list[str]:
    found = [block for section in page.sections for block in section.blocks if isinstance(block, Prose)]
    return [line for block in found for line in block.paragraphs]


def tables(page: Page) -> list[Table]:
    found = [block for section in page.sections for block in section.blocks]
    either = [block.table if isinstance(block, FigureBlock) else block for block in found]
    return [table for table in either if isinstance(table, Table)]


def rows(page: Page, *headings: str) -> list[tuple[str, ...]]:
    """The cells under these headings, row by row, of every table that has all of them."""
    return [
        tuple(shown(row[table.columns.index(heading)]) for heading in headings)
        for table in tables(page) if set(headings) <= set(table.columns) for row in table.rows
    ]  # fmt: skip


def shown(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def marks(page: Page) -> list[Marked]:
    """Every highlighted cell."""
    return [cell for table in tables(page) for row in table.rows for cell in row if isinstance(cell, Marked)]


def notes_in(figure: dict[str, Any]) -> list[str]:
    return [note["text"].strip() for note in figure["layout"]["annotations"]]


def text_of(page: Path) -> str:
    """Return the visible text of a page: without scripts and tags, and with entities resolved."""
    body = re.sub(r"<script.*?</script>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def figures(page: Path) -> list[dict[str, Any]]:
    """The Plotly JSON of every chart in a built page."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(), flags=re.DOTALL)
    return [json.loads(text) for text in found]


def site_of(folder: Path, head: Header, records: Sequence[Record], *calibrations: Calibration) -> Path:
    """The folder of a site built from one run."""
    return build([examples.write(folder / "run.jsonl", head, records, *calibrations)], folder / "site").parent
