"""`xibench compare`: two stored runs, case by case."""

from __future__ import annotations

from typing import Annotated

import typer

from xibench.cli.options import Json, run_path
from xibench.cli.parsers import share

Markdown = Annotated[bool, typer.Option("--markdown", help="A comment for a pull request, on stdout.")]
Threshold = Annotated[
    float | None,
    typer.Option(parser=share, metavar="SHARE", help="A change within this share is the same.  [default: 0.02]"),
]


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A run file.")],
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="Another; the newest if left out.")] = "latest",
    threshold: Threshold = None,
    allow_unlike: Annotated[
        bool, typer.Option("--allow-unlike", help="Compare cases whose settings or machine differ, too, and say so.")
    ] = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Compare two stored runs: ratio, interval and verdict per case.

    slower and faster are certain at 1 % false discoveries over all cases; same lies within the threshold; unsure is
    neither. Cases that are not alike are not compared. Exit code 3 if anything is slower, 1 if a case was not compared.

    \b
    Example:  xibench compare results/runs/monday.jsonl results/runs/tuesday.jsonl
    """
    from xibench.cli.render import comparison_tables
    from xibench.measure.comparing import THRESHOLD
    from xibench.record import comparison
    from xibench.record.store import read

    comparison_tables.check_form(as_json, as_markdown)
    limit = THRESHOLD if threshold is None else threshold
    found = comparison.compare(read(run_path(base)), read(run_path(new)), limit, allow_unlike)
    comparison_tables.show(found, as_json, as_markdown)
    comparison_tables.end(found, refusal_is_failure=True)
