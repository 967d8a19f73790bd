"""`xibench report`: write a static site of charts from runs and comparisons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xibench.cli.options import Runs, run_paths


def report(
    runs: Runs = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write the site to.")] = Path("site"),
) -> None:
    """Write a static site of charts from runs, and from files of pairs of `xibench ab`.

    The site opens from the file system, without a server or network access.

    \b
    Example:  xibench report latest --out site
    """
    from dashboards.build import build
    from xibench.cli.render import terminal

    index = build(run_paths(runs), out)
    print("Open in a browser:", file=sys.stderr)
    terminal.say_path(index)
