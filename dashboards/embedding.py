"""Text that is generated from a run file: printed, or put between a document's two markers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dashboards.runs import LoadedRun, load
from xibench.errors import InputError, XibenchError
from xibench.record.documents import embed
from xibench.record.store import latest

RUNS: Final = Path("results/runs")


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
