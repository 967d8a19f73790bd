"""`xibench show`: one run's figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xibench.cli.options import Json, print_json, run_path
from xibench.errors import UsageError

if TYPE_CHECKING:
    from xibench.measure.statistics import Interval
    from xibench.record.schema import Record
    from xibench.record.store import Run


def show(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="A run file, or `latest`.")] = "latest",
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values on stdout, a line per case.")] = False,
) -> None:
    """One run's figures.

    Each case's throughput and latency with 95 % intervals, compile time, peak memory and status.

    \b
    Example:  xibench show latest
    """
    if as_json and as_csv:
        raise UsageError("show: received --json and --csv, expected one of them")
    path = run_path(run)
    if as_csv:
        from xibench.record.frame import frame

        frame(path).to_csv(sys.stdout, index=False)
        return
    from xibench.record.store import read

    stored = read(path)
    if as_json:
        print_json(document(path, stored))
    else:
        print_run(path, stored)


def print_run(path: Path, run: Run, to_stderr: bool = False) -> None:
    """The headline table and what must be read beside it."""
    from xibench.cli import format
    from xibench.record.store import resume_command
    from xibench.record.summary import summarise

    summaries = [summarise(record) for record in run.records]
    output = sys.stderr if to_stderr else sys.stdout
    if not summaries:
        print(f"{path}: {format.cases(len(run.header.plan))} planned, none measured yet", file=output)
        return
    format.show(format.run_table(summaries, format.machine(run.header.environment, summaries)), output)
    left = len(run.header.plan) - len(run.records)
    notes = [*format.run_notes(summaries), format.versions(run.records)]
    if left > 0:
        notes.append(f"{left} of {format.cases(len(run.header.plan))} not measured yet: `{resume_command(path)}`")
    for note in notes:
        print(note, file=output)


def document(path: Path, run: Run) -> dict[str, Any]:
    """The JSON document of `show --json`: `run`, `environment`, and a summary per record."""
    header = run.header
    return {
        "run": {
            "id": header.run_id, "file": str(path), "created_utc": header.created_utc, "preset": header.preset,
            "command": header.command, "xibench": header.xibench, "format_version": header.format_version,
            "rule": header.rule, "pictures": header.pictures, "weights_digest": header.weights_digest,
            "planned": len(header.plan), "cut_line": run.cut_line,
        },
        "environment": header.environment,
        "records": [_record(record) for record in run.records],
    }


def _record(record: Record) -> dict[str, Any]:
    from xibench.record.summary import summarise

    summary = summarise(record)
    throughput = summary.images_per_s
    return {
        "case": record.case,
        "status": record.status,
        "reason": record.reason,
        "log": record.log,
        "step_s": _interval(summary.step_s),
        "images_per_s": throughput and throughput.median,
        "images_per_s_low": throughput and throughput.low,
        "images_per_s_high": throughput and throughput.high,
        "compile_s": summary.compile_s,
        "first_step_s": summary.first_step_s,
        "peak_bytes": summary.peak_bytes,
        "device_peak_bytes": summary.device_peak_bytes,
        "macs_per_s": summary.macs_per_s,
        "processes": summary.processes,
        "costs": record.costs,
        "settings": record.processes[0].settings if record.processes else {},
        "versions": record.processes[0].versions if record.processes else {},
        "substitutions": summary.substitutions,
        "absent": summary.absent,
    }


def _interval(value: Interval | None) -> dict[str, float | int | None] | None:
    return None if value is None else {"median": value.median, "low": value.low, "high": value.high, "n": value.n}
