"""`xibench history`: what changed over many nights or commits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from xibench.cli.options import Json, print_json

DEFAULT: Final = "results/asv"


def history(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="Folders of asv's results, files or folders of pytest-benchmark, run files or folders of them.  "
            f"[default: {DEFAULT}]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what became slower or faster over many nights or commits.

    Reads results of asv, files of pytest-benchmark and run files, a series per benchmark and machine, and finds the
    nights on which a series changed its level, against the noise that the machine's series show: correlated from one
    night to the next, or drifting. A change is a candidate; `xibench ab --base git:A --new git:B` confirms it. A return
    to an earlier level, what went away, and what most series of a machine do at once are not candidates.

    \b
    Example:  xibench history results/asv
    """
    from xibench.cli.render import history_tables
    from xibench.history.report import history as judge

    found = judge([Path(source) for source in sources or [DEFAULT]])
    if as_json:
        print_json(found)
    else:
        history_tables.show(found)
