"""`xibench verify`: the proof that all frameworks compute the same network."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xibench.cli.options import Json, print_json, split
from xibench.errors import UsageError

Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Networks and operators; the paper's two networks if none is named."),
]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", metavar="NAME", help="Their variants; `all` for every one.  [default: default]"),
]


def verify(
    models: Models = None,
    variant: Variants = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every variant of every network and operator; takes many times as long.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Prove that all frameworks compute the same network.

    Compares each with every other and with keras.applications, then seeds mistakes, each of which must be noticed.
    Exit code 1 if anything differs by more than its tolerance or a mistake goes unnoticed.

    \b
    Example:  xibench verify xception
              xibench verify xception resnet50 --variant all
              xibench verify grouped separable
    """
    from frameworks.architectures import SUBJECTS
    from xibench.analysis.verify import verify as prove

    named, variants = split(models, "MODEL"), split(variant, "--variant") or ("default",)
    if everything:
        if named or variant:
            raise UsageError("--all beside a MODEL or --variant: it stands for all of them; leave one or the other out")
        named, variants = tuple(SUBJECTS), ("all",)
    report = prove(named or None, watch=_say, variants=variants)
    if as_json:
        print_json(report)
    else:
        from xibench.cli.render import terminal
        from xibench.cli.render.tables import verify_tables

        for table in verify_tables(report):
            terminal.show(table)
        for reason in report.skipped:
            print(f"skipped: {reason}")
    if not report.ok:
        raise typer.Exit(1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
