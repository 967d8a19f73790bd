"""Run files as pandas frames, and from there CSV and Parquet. pandas is imported by the first call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xibench.errors import StoreError
from xibench.measure.statistics import Interval
from xibench.record.schema import Header, Record
from xibench.record.store import read
from xibench.record.summary import summarise

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(*paths: str | Path) -> DataFrame:
    """One row per case: run, machine, the case's fields, status, figures with their 95 % intervals, costs.

    A figure that a case does not have is NaN (numbers) or None (text). Raises StoreError as `store.read` does.
    """
    return _frame([_case_row(header, record) for header, record in _records(paths)])


def samples(*paths: str | Path) -> DataFrame:
    """One row per timed step: run, machine, the case's fields, `process` and `step` (both from 0), and `step_s`.

    Cases without a measurement have no row. Raises StoreError as `store.read` does.
    """
    return _frame(
        [
            {**_identity(header, record), "process": number, "step": step, "step_s": seconds}
            for header, record in _records(paths)
            for number, process in enumerate(record.processes)
            for step, seconds in enumerate(process.steps_s)
        ]
    )


def export_csv(table: DataFrame, path: str | Path) -> None:
    """Writes a frame as CSV, without the index. Raises StoreError if the file cannot be written."""
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        raise _unwritable(path, error) from None


def export_parquet(table: DataFrame, path: str | Path) -> None:
    """Writes a frame as Parquet, without the index.

    Raises StoreError if the file cannot be written or pyarrow, which writes it, is not installed.
    """
    try:
        table.to_parquet(path, index=False)
    except ImportError:
        message = f"{path} cannot be written: Parquet needs pyarrow; `pip install pyarrow`, or export CSV"
        raise StoreError(message) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _frame(rows: list[dict[str, Any]]) -> DataFrame:
    import pandas

    return pandas.DataFrame(rows)


def _records(paths: tuple[str | Path, ...]) -> list[tuple[Header, Record]]:
    runs = [read(path) for path in paths]
    return [(run.header, record) for run in runs for record in run.records]


def _identity(header: Header, record: Record) -> dict[str, Any]:
    case = {field: getattr(record.case, field) for field in record.case.__struct_fields__}
    return {"run": header.run_id, "created_utc": header.created_utc, "machine": header.environment.machine, **case}


def _case_row(header: Header, record: Record) -> dict[str, Any]:
    summary = summarise(record)
    costs = {field: getattr(record.costs, field) for field in record.costs.__struct_fields__}
    process = record.processes[0] if record.processes else None
    return {
        **_identity(header, record),
        "environment": record.environment,
        "cpu_model": header.environment.cpu_model,
        "device_name": process.device_name if process else None,
        "versions": ", ".join(f"{name} {version}" for name, version in process.versions.items()) if process else None,
        "status": record.status,
        "reason": record.reason,
        "processes": summary.processes,
        "steps": summary.step_s.n if summary.step_s else 0,
        **_interval("step_s", summary.step_s),
        **_interval("images_per_s", summary.images_per_s),
        "compile_s": summary.compile_s,
        "first_step_s": summary.first_step_s,
        "peak_bytes": summary.peak_bytes,
        "device_peak_bytes": summary.device_peak_bytes,
        "macs_per_s": summary.macs_per_s,
        "substitutions": "; ".join(f"{s.wanted}: {s.why}; ran {s.ran}" for s in summary.substitutions),
        **costs,
    }


def _interval(name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: interval.median, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _unwritable(path: str | Path, error: OSError) -> StoreError:
    why = error.strerror or str(error)
    return StoreError(f"{path} cannot be written: {why}; name a file in a folder that exists and has room")
