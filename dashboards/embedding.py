"""Text that is generated from a run file: printed, or put between a document's two markers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dashboards.runs import LoadedRun, load
from xibench.errors import InputError, XibenchError
from xibench.record.store import latest

RUNS = Path("results/runs")


def marks(name: str) -> tuple[str, str]:
    """The markers of a generated part."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def embed(document: str, text: str, name: str) -> str:
    """The document with `text` between its markers. Raises InputError if it lacks them."""
    begin, end = marks(name)
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise InputError(f"the document has no place for the {name}: expected one {begin} and, after it, one {end}")
    before, rest = document.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def main(arguments: Sequence[str], name: str, make: Callable[[LoadedRun], str]) -> int:
    """Prints the text, or embeds it into a document; returns the exit code.

    arguments: none for the newest run in results/runs; a run file; a run file and a document.
    """
    try:
        if len(arguments) > 2:
            raise InputError(f"{len(arguments)} arguments, expected at most two: RUN and a document")
        text = make(load(Path(arguments[0]) if arguments else latest(RUNS)))
        if len(arguments) < 2:
            print(text)
            return 0
        document = Path(arguments[1])
        document.write_text(embed(document.read_text(encoding="utf-8"), text, name), encoding="utf-8")
    except (XibenchError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0
