"""`xibench report`: write a static site of charts from runs and comparisons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xibench.cli.commands.history import CONFIRMATIONS, NOTES
from xibench.cli.options import Runs, run_paths

if TYPE_CHECKING:
    from dashboards.site import LoadedHistory


def report(
    runs: Runs = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history", metavar="SOURCE",
            help="Also the history of these results of asv, files of pytest-benchmark or runs, as `xibench history` "
            "takes them, on a page of its own; repeat the option for several.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write the site to.")] = Path("site"),
) -> None:
    """Write a static site of charts from runs, and from files of pairs of `xibench ab`.

    The site opens from the file system, without a server or network access.

    \b
    Example:  xibench report latest --out site
              xibench report latest --history results/asv
    """
    from dashboards.build import build
    from xibench.cli.render import terminal

    index = build(run_paths(runs), out, _history(history) if history else None)
    print("Open in a browser:", file=sys.stderr)
    terminal.say_path(index)


def _history(sources: list[str]) -> LoadedHistory:
    """Read series and judge them, with the confirmations and notes in results/."""
    from dashboards.site import LoadedHistory
    from xibench.history import notes
    from xibench.history.confirm import Confirmations
    from xibench.history.report import judge, read, remembered

    series = read([Path(source) for source in sources])
    found = remembered(judge(series), Confirmations(CONFIRMATIONS), notes.read(NOTES))
    return LoadedHistory(tuple(series), found)
