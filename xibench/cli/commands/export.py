"""`xibench export`: write runs as a table for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xibench.cli.options import Runs, run_paths
from xibench.errors import UsageError


def export(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE",
            help="File to write: .csv or .parquet, or .json in the form customSmallerIsBetter of "
            "github-action-benchmark.",
        ),
    ],
    runs: Runs = None,
    samples: Annotated[
        bool, typer.Option("--samples", help="Write a row per timed step instead of a row per case.")
    ] = False,
) -> None:
    """Write runs to a CSV or Parquet file, a row per case or per timed step; or to JSON for other dashboards.

    \b
    Example:  xibench export latest --out run.parquet
              xibench export latest --out figures.json
    """
    if out.suffix not in (".csv", ".parquet", ".json"):
        raise UsageError(f"--out: received {out}, expected a name that ends in .csv, .parquet or .json")
    if out.suffix == ".json":
        _export_json(out, runs, samples)
        return
    from xibench.cli.render import terminal
    from xibench.record import frame

    paths = run_paths(runs)
    table = frame.samples(*paths) if samples else frame.frame(*paths)
    write = frame.export_csv if out.suffix == ".csv" else frame.export_parquet
    write(table, out)
    print(f"{len(table)} rows, {len(table.columns)} columns written", file=sys.stderr)
    terminal.say_path(out)


def _export_json(out: Path, runs: Runs, samples: bool) -> None:
    """Write the figures of runs for other dashboards. Raises UsageError if samples are asked for."""
    if samples:
        raise UsageError("--samples: received it with a .json file, which has figures only; expected .csv or .parquet")
    from xibench.analysis.smaller_is_better import export as write
    from xibench.cli.render import terminal

    print(f"{write(run_paths(runs), out)} figures written", file=sys.stderr)
    terminal.say_path(out)
