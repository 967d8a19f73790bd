"""Run files as pandas data frames, CSV and Parquet. pandas is imported by the first call."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from xibench.errors import StoreError
from xibench.record.metrics import METRICS, Metric, bounds, central
from xibench.record.schema import Calibration, Case, Costs, Header, Process, Record
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
        ceilings, always all of them and of the same types. A figure that a case does not have is NaN, a count or a text
        that it does not have is pandas.NA.

    Raises:
        StoreError: As `store.read` raises it.
    """
    return _table([_case_row(run, record) for run in map(read, paths) for record in run.records], _case_columns())


def samples(*paths: str | Path) -> DataFrame:
    """Load run files with one row per timed step.

    Args:
        paths: The run files.

    Returns:
        Columns for the run, the machine, the case's fields, `process` and `step` (both from 0), `order` (the process's
        position in the run), `set_aside` (whether the process was superseded by another one), `step_s` and
        `device_step_s`, always all of them and of the same types. Cases without a measurement have no row.

    Raises:
        StoreError: As `store.read` raises it.
    """
    import numpy as np

    # A row per process, which is then repeated for each of its steps
    found = [
        (process, _identity(run.header, record) | {"process": n, "order": process.order, "set_aside": superseded})
        for run in map(read, paths)
        for record in run.records
        for n, (process, superseded) in enumerate(_processes(record))
    ]
    # `set_aside` is the column's name since the first release
    own = _identity_columns() | {"process": "int64", "order": "int64", "set_aside": "bool"}
    steps = [len(process.steps_s) for process, _ in found]
    table = _table([row for _, row in found], own).take(np.repeat(np.arange(len(found)), steps)).reset_index(drop=True)
    on_device = [(p.sampled and p.sampled.device_steps_s) or [math.nan] * len(p.steps_s) for p, _ in found]
    table["step"] = np.fromiter(chain.from_iterable(map(range, steps)), np.int64)
    table["step_s"] = np.fromiter(chain.from_iterable(process.steps_s for process, _ in found), np.float64)
    table["device_step_s"] = np.fromiter(chain.from_iterable(on_device), np.float64)
    return table


def export_csv(table: DataFrame, path: str | Path) -> None:
    """Write a frame as CSV, without its index. Raises StoreError if the file cannot be written."""
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        raise _unwritable(path, error) from None


def export_parquet(table: DataFrame, path: str | Path) -> None:
    """Write a frame as Parquet, without its index. Files of different runs have the same types of columns.

    Raises:
        StoreError: The file cannot be written, or pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        message = f"{path} cannot be written: Parquet needs pyarrow; `pip install pyarrow`, or export CSV"
        raise StoreError(message) from None
    schema = pyarrow.Schema.from_pandas(table, preserve_index=False)
    for i, dtype in enumerate(table.dtypes):
        if dtype == "string":  # else the version of pandas decides between string and large_string
            schema = schema.set(i, schema.field(i).with_type(pyarrow.string()))
    try:
        with Path(path).open("wb") as file:  # pyarrow opens no file whose name is not UTF-8
            table.to_parquet(file, index=False, engine="pyarrow", schema=schema)
    except OSError as error:
        raise _unwritable(path, error) from None


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> DataFrame:
    """Return a frame with these columns (name -> dtype), whatever the rows are, also if there are none."""
    import pandas

    return pandas.DataFrame(rows, columns=list(columns), dtype=object).astype(columns)


def _case_columns() -> dict[str, str]:
    """The columns of `frame` in order, with their dtypes: the one declaration of what an export of cases consists of.

    Fields of records have the dtypes of their types. Every figure is float64, whatever `of` of its metric returns.
    """
    figures = [name for metric in METRICS.values() for name in _figure_columns(metric)]
    return {
        **_identity_columns(),
        **dict.fromkeys(("environment", "cpu_model", "device_name", "versions", "status", "reason"), "string"),
        **dict.fromkeys(("processes", "failed", "set_aside"), "int64"),
        "disturbed": "string",
        **dict.fromkeys(("unsteady", "cut_short", "steps"), "int64"),
        **dict.fromkeys(("outliers_mild", "outliers_severe"), "Int64"),
        **dict.fromkeys(figures, "float64"),
        **dict.fromkeys(("substitutions", "settings_differ"), "string"),
        **{name: dtype for name, dtype in _dtypes(Costs).items() if name != "absent"},
        **dict.fromkeys(("peak_flops_per_s", "copy_bytes_per_s"), "float64"),
    }


def _identity_columns() -> dict[str, str]:
    """The columns with which both frames begin, with their dtypes."""
    return dict.fromkeys(("run", "created_utc", "machine"), "string") | _dtypes(Case)


def _dtypes(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The fields of a record with their dtypes; Int64 is the one of pandas for integers of which some are missing."""
    found = {}
    for field in msgspec.structs.fields(struct):
        kinds = get_args(field.type) or (field.type,)
        whole = "Int64" if NoneType in kinds else "int64"
        found[field.name] = "float64" if float in kinds else whole if int in kinds else "string"
    return found


def _figure_columns(metric: Metric[Any]) -> tuple[str, ...]:
    """A column per metric, with further columns for the bounds of intervals."""
    interval = (f"{metric.name}_low", f"{metric.name}_high") if metric.kind == "interval" else ()
    return (metric.name, *interval)


def _processes(record: Record) -> list[tuple[Process, bool]]:
    """Return the processes with a measurement, each with whether it was superseded by a later one."""
    counted = {id(attempt) for attempt in record.counted}
    return [(a.process, id(a) not in counted) for a in record.attempts if a.process is not None]


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
    """Return the figures under the names of `_figure_columns`; None where there is no value."""
    found: dict[str, float | None] = {}
    for metric in METRICS.values():
        value = summary[metric]
        found |= zip(_figure_columns(metric), (central(value), *bounds(value)), strict=False)
    return found


def _unwritable(path: str | Path, error: OSError) -> StoreError:
    why = error.strerror or str(error)
    return StoreError(f"{path} cannot be written: {why}; name a file in a folder that exists and has room")
