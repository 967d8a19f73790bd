"""`xibench verify`: the proof that all frameworks compute the same network."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xibench.cli.options import Json, Names, list_option, print_json
from xibench.errors import UsageError


def verify(
    models: Annotated[
        Names,
        list_option(
            metavar="[MODEL]...",
            help_text="Networks and operators.  [default: xception, inception_v3]",
            declare=typer.Argument,
        ),
    ] = None,
    variant: Annotated[
        Names,
        list_option(
            "--variant", metavar="NAME", help_text="Variants of each; `all` for every one.  [default: default]"
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Check every variant of every network and operator; this takes many times as long."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Prove that all frameworks compute the same network.

    Compares outputs block by block, each framework with every other, with the NumPy reference and with
    keras.applications. Then seeds mistakes, such as a wrong epsilon, each of which must be caught. Exit code 1 if a
    difference exceeds its tolerance or a mistake is not caught.

    \b
    Example:  xibench verify xception
              xibench verify xception resnet50 --variant all
              xibench verify grouped separable
    """
    from frameworks.architectures import NETWORKS
    from xibench.analysis.verify import verify as prove

    if everything and (models or variant):
        raise UsageError(
            "verify: received --all and a MODEL or --variant, expected one of them; --all checks every variant of all"
        )
    named, variants = (list(NETWORKS), ["all"]) if everything else (models, variant or ["default"])
    report = prove(named, on_progress=_say, variants=variants)
    if as_json:
        print_json(report)
    else:
        from xibench.cli.render import terminal
        from xibench.cli.render.tables import verify_tables

        for table in verify_tables(report):
            terminal.show(table)
        for reason in report.skipped:
            terminal.say(f"skipped: {reason}")
    if not report.ok:
        raise typer.Exit(1)


def _say(line: str) -> None:
    from xibench.cli.render import terminal

    terminal.say(line, sys.stderr)
