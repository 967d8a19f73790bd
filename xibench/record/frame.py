"""Run files as pandas data frames, CSV and Parquet. pandas is imported by the first call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xibench.errors import StoreError
from xibench.record.metrics import METRICS, central
from xibench.record.schema import Calibration, Header, Process, Record
from xibench.record.store import Run, read
from xibench.record.summary import Summary, summarise

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(*paths: str | Path) -> DataFrame:
    """Load run files with one row per case.

    Args:
        paths: The run files.

    Returns:
        Columns for the run, the machine, the case's fields, status, figures with their 95 % intervals, costs and
        ceilings. A figure that a case does not have is NaN (numbers) or None (text).

    Raises:
        StoreError: As `store.read` raises it.
    """
    import pandas

    return pandas.DataFrame([_case_row(run, record) for run in map(read, paths) for record in run.records])


def samples(*paths: str | Path) -> DataFrame:
    """Load run files with one row per timed step.

    Args:
        paths: The run files.

    Returns:
        Columns for the run, the machine, the case's fields, `process` and `step` (both from 0), `order` (the process's
        position in the run), `set_aside` (whether the process was superseded by another one), `step_s` and
        `device_step_s`. Cases without a measurement have no row.

    Raises:
        StoreError: As `store.read` raises it.
    """
    import pandas

    return pandas.DataFrame(
        [
            _identity(run.header, record)
            | {
                "process": number,
                "order": process.order,
                "set_aside": superseded,  # the column's name since its first release
                "step": step,
                "step_s": seconds,
                "device_step_s": _device_step_s(process, step),
            }
            for run in map(read, paths)
            for record in run.records
            for number, (process, superseded) in enumerate(_processes(record))
            for step, seconds in enumerate(process.steps_s)
        ]
    )


def export_csv(table: DataFrame, path: str | Path) -> None:
    """Write a frame as CSV, without its index. Raises StoreError if the file cannot be written."""
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        raise _unwritable(path, error) from None


def export_parquet(table: DataFrame, path: str | Path) -> None:
    """Write a frame as Parquet, without its index.

    Raises:
        StoreError: The file cannot be written, or pyarrow is not installed.
    """
    try:
        table.to_parquet(path, index=False)
    except ImportError:
        message = f"{path} cannot be written: Parquet needs pyarrow; `pip install pyarrow`, or export CSV"
        raise StoreError(message) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _processes(record: Record) -> list[tuple[Process, bool]]:
    """Return the processes with a measurement, each with whether it was superseded by a later one."""
    counted = {id(attempt) for attempt in record.counted}
    return [(a.process, id(a) not in counted) for a in record.attempts if a.process is not None]


def _device_step_s(process: Process, step: int) -> float | None:
    on_device = process.sampled.device_steps_s if process.sampled else None
    return on_device[step] if on_device else None


def _identity(header: Header, record: Record) -> dict[str, Any]:
    case = {field: getattr(record.case, field) for field in record.case.__struct_fields__}
    return {"run": header.run_id, "created_utc": header.created_utc, "machine": header.environment.machine, **case}


def _case_row(run: Run, record: Record) -> dict[str, Any]:
    summary = summarise(record, run.calibration)
    process = record.processes[0] if record.processes else None
    costs = {field: getattr(record.costs, field) for field in record.costs.__struct_fields__ if field != "absent"}
    return {
        **_identity(run.header, record),
        "environment": record.environment,
        "cpu_model": run.header.environment.cpu_model,
        "device_name": process.device_name if process else None,
        "versions": ", ".join(f"{name} {version}" for name, version in process.versions.items()) if process else None,
        "status": record.status,
        "reason": record.reason,
        **_counts(summary),
        **_figures(summary),
        "substitutions": "; ".join(f"{s.wanted}: {s.why}; ran {s.ran}" for s in summary.substitutions),
        "settings_differ": ", ".join(summary.settings_differ),
        **costs,
        **_ceilings(record, run.calibration),
    }


def _counts(summary: Summary) -> dict[str, Any]:
    return {
        "processes": summary.processes,
        "failed": summary.failed,
        "set_aside": summary.superseded,
        "disturbed": "; ".join(summary.disturbed),
        "unsteady": summary.unsteady,
        "cut_short": summary.cut_short,
        "steps": summary.step_s.n if summary.step_s else 0,
        "outliers_mild": summary.outliers.mild if summary.outliers else None,
        "outliers_severe": summary.outliers.severe if summary.outliers else None,
    }


def _ceilings(record: Record, calibration: Calibration | None) -> dict[str, float | None]:
    return {
        "peak_flops_per_s": calibration.peak_flops_per_s(record.case.precision) if calibration else None,
        "copy_bytes_per_s": calibration.bytes_per_s if calibration else None,
    }


def _figures(summary: Summary) -> dict[str, float | None]:
    """Return a column per metric, with further columns for the bounds of intervals; None where there is no value."""
    found: dict[str, float | None] = {}
    for metric in METRICS.values():
        value = summary[metric]
        found[metric.name] = central(value)
        if metric.kind == "interval":
            found[f"{metric.name}_low"] = value.low if value else None
            found[f"{metric.name}_high"] = value.high if value else None
    return found


def _unwritable(path: str | Path, error: OSError) -> StoreError:
    why = error.strerror or str(error)
    return StoreError(f"{path} cannot be written: {why}; name a file in a folder that exists and has room")
