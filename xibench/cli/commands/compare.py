"""`xibench compare`: two stored runs, case by case."""

from __future__ import annotations

from typing import Annotated

import typer

from xibench.cli.options import Json, run_path, share

Markdown = Annotated[bool, typer.Option("--markdown", help="Write a Markdown comment for a pull request to stdout.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        parser=share,
        metavar="SHARE",
        help="Changes smaller than this share count as the same, such as 0.02 or 2%.  [default: 0.02]",
    ),
]


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The run file to compare with.")],
    new: Annotated[
        str, typer.Argument(metavar="[NEW]", help="The run file that may be slower or faster: a path, or `latest`.")
    ] = "latest",
    threshold: Threshold = None,
    allow_unlike: Annotated[
        bool,
        typer.Option(
            "--allow-unlike", help="Also compare cases whose settings or machine differ; the difference is reported."
        ),
    ] = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Compare two stored runs: ratio, interval and verdict per case.

    Verdicts: slower or faster, at a false discovery rate of 1 % over all cases; same, if the interval is within the
    threshold; unsure otherwise. Cases with different settings or machines are not compared. Exit code 3 if any case is
    slower, 1 if a case was not compared.

    \b
    Example:  xibench compare results/runs/monday.jsonl results/runs/tuesday.jsonl
    """
    from xibench.cli.render import comparison_tables
    from xibench.measure.comparing import THRESHOLD
    from xibench.record import comparison
    from xibench.record.store import read

    comparison_tables.check_form(as_json, as_markdown)
    limit = THRESHOLD if threshold is None else threshold
    old_path, new_path = run_path(base), run_path(new)
    found = comparison.compare(read(old_path), read(new_path), limit, allow_unlike)
    comparison_tables.show(found, as_json, as_markdown, (str(old_path), str(new_path)))
    comparison_tables.end(found, refusal_is_failure=True)
