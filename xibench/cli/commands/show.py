"""`xibench show`: the figures of a run, or the verdicts of a file of pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xibench.cli.options import Json, print_json, run_path
from xibench.errors import UsageError
from xibench.record.pair_store import is_pairs_file

if TYPE_CHECKING:
    from xibench.record.schema import Calibration, Record
    from xibench.record.store import Run
    from xibench.record.summary import Summary


def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="A run file, `latest`, the newest of results/runs, or a file of `xibench ab`."
        ),
    ] = "latest",
    as_json: Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write comma-separated values to stdout, a line per case.")
    ] = False,
) -> None:
    """Show a run's figures, a row per case, or the verdicts of `xibench ab`.

    Throughput or latency with 95 % intervals, the attained fraction of the device's measured roofline, compile time,
    peak memory, energy where the machine can read it, and status. Notes below each table explain its marks.

    \b
    Example:  xibench show latest
    """
    if as_json and as_csv:
        raise UsageError("show: received --json and --csv, expected one of them")
    path = run_path(run)
    if is_pairs_file(path):
        from xibench.cli.render import comparison_tables
        from xibench.record import pair_comparison, pair_store

        if as_csv:
            raise UsageError(f"show --csv: received {path}, a file of pairs, expected a run file; --json shows both")
        comparison_tables.show(pair_comparison.of_file(pair_store.read(path)), as_json, as_markdown=False)
        return
    if as_csv:
        from xibench.record.frame import frame

        frame(path).to_csv(sys.stdout, index=False)
        return
    from xibench.record.store import read

    stored = read(path)
    if as_json:
        print_json(document(path, stored))
    else:
        from xibench.cli.render.run_tables import print_run

        print_run(path, stored)


def document(path: Path, run: Run) -> dict[str, Any]:
    """Return the JSON document of `show --json`: run, environment, calibration, a summary per record, conclusions."""
    from xibench.analysis.conclusions import conclusions
    from xibench.analysis.conclusions import document as concluded
    from xibench.record.summary import summarise

    header = run.header
    summaries = [summarise(record, run.calibration) for record in run.records]
    return {
        "run": {
            "id": header.run_id,
            "file": str(path),
            "created_utc": header.created_utc,
            "preset": header.preset,
            "command": header.command,
            "xibench": header.xibench,
            "format_version": header.format_version,
            "rule": header.sampling,
            "pictures": header.images,
            "weights_digest": header.weights_digest,
            "planned": len(header.plan),
            "cut_line": run.cut_line,
        },
        "environment": header.environment,
        "calibration": run.calibration and _calibration(run.calibration),
        "records": [_record(record, summary) for record, summary in zip(run.records, summaries, strict=True)],
        "conclusions": concluded(conclusions(summaries)),
    }


def _calibration(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration under the keys that scripts rely on, where matmuls are `products`."""
    import msgspec

    line = msgspec.to_builtins(calibration)
    return {"products" if name == "matmuls" else name: value for name, value in line.items()}


def _record(record: Record, summary: Summary) -> dict[str, Any]:
    first = record.processes[0] if record.processes else None
    return {
        "case": record.case,
        "status": record.status,
        "reason": record.reason,
        "log": record.log,
        **_figures(summary),
        "processes": summary.processes,
        "failed": summary.failed,
        "set_aside": summary.superseded,
        "disturbed": summary.disturbed,
        "taken_share": summary.taken_share,
        "bracketed": summary.bracketed,
        "unsteady": summary.unsteady,
        "cut_short": summary.cut_short,
        "outliers": summary.outliers,
        "costs": record.costs,
        "settings": first.settings if first else {},
        "settings_differ": summary.settings_differ,
        "equality": max((p.equality for p in record.processes if p.equality), key=lambda e: e.rms_error, default=None),
        "versions": first.versions if first else {},
        "substitutions": summary.substitutions,
        "absent": summary.absent,
    }


def _figures(summary: Summary) -> dict[str, Any]:
    """Return the metrics under their keys of the document; the highest rate comes after the latencies."""
    from xibench.record.metrics import HIGHEST_RATE_HZ, METRICS, P99_S

    names = [name for name in METRICS if name != HIGHEST_RATE_HZ.name]
    names.insert(names.index(P99_S.name) + 1, HIGHEST_RATE_HZ.name)
    found: dict[str, Any] = {}
    for name in names:
        metric = METRICS[name]
        value = summary[metric]
        if metric.path:
            group, key = metric.path
            found.setdefault(group, {}).update({key: value} if value else {})
        elif metric.flat:
            parts = {"": "median", "_low": "low", "_high": "high"}
            found |= {f"{name}{end}": value and getattr(value, part) for end, part in parts.items()}
        else:
            found[name] = value
    return found
