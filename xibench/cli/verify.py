"""`xibench verify`: the proof that all frameworks compute the same network."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xibench.cli.options import Json, print_json, split

Models = Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Networks; all if none is named.")]


def verify(
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Prove that all frameworks compute the same network.

    Compares each with every other and with keras.applications, then seeds mistakes, each of which must be noticed.
    Exit code 1 if anything differs by more than its tolerance or a mistake goes unnoticed.

    \b
    Example:  xibench verify xception
    """
    from xibench.analysis.verify import verify as prove

    report = prove(split(models, "MODEL") or None, watch=_say)
    if as_json:
        print_json(report)
    else:
        from xibench.cli import format
        from xibench.cli.tables import verify_tables

        for table in verify_tables(report):
            format.show(table)
        for reason in report.skipped:
            print(f"skipped: {reason}")
    if not report.ok:
        raise typer.Exit(1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
