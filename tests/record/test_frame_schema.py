"""The columns of exports: one declared schema, whatever was measured, so that files of different runs read together."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pandas
import pyarrow.parquet
import pytest

from tests.builders import ENERGY, append, calibration, failure, header, measured, process, record, small_case
from xibench.errors import StoreError
from xibench.record import metrics, store
from xibench.record.frame import export_csv, export_parquet, frame, samples
from xibench.record.metrics import Metric, Unavailable
from xibench.record.schema import Record
from xibench.record.store import RunFile

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
CASE = small_case()
METERED = msgspec.structs.replace(
    process(), energy=msgspec.structs.replace(ENERGY, gpu_counter_joules=12.5, cpu_package_joules=3.25)
)
SERVED = msgspec.structs.replace(CASE, scenario="server", latency_bound_s=0.5)
RUNS: dict[str, tuple[Sequence[Record], bool]] = {
    "ceilings": ([record(CASE)], True),
    "no ceilings": ([record(CASE)], False),
    "energy": ([measured(CASE, METERED)], True),
    "several processes": ([record(CASE, (0.1, 0.2), (0.1, 0.3))], False),
    "a bound of the latency": ([record(SERVED)], False),
    "a case without a measurement": ([failure(CASE)], False),
    "nothing yet": ([], False),
}
"""What was measured -> the records of a run, and whether it has ceilings."""


def run_files() -> list[Path]:
    found = []
    for path in sorted(REFERENCE.rglob("*.jsonl")):
        try:
            store.read(path)
        except StoreError:  # pairs and claims
            continue
        found.append(path)
    return found


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    written = {}
    for number, (name, (records, with_ceilings)) in enumerate(RUNS.items()):
        with RunFile.create(tmp_path / f"{number}.jsonl", header([CASE], run_id=f"{number:032x}")) as run_file:
            if with_ceilings:
                run_file.append(calibration())
            append(run_file, *records)
        written[name] = run_file.path
    return written


@pytest.mark.parametrize("table_of", [frame, samples])
def test_all_runs_have_the_same_columns_of_the_same_types_and_none_is_of_objects(
    table_of: Callable[[Path], pandas.DataFrame], runs: dict[str, Path]
) -> None:
    types = {path: table_of(path).dtypes.astype(str).to_dict() for path in (*runs.values(), *run_files())}
    (first, *others) = types.values()
    assert set(first.values()) <= {"string", "float64", "int64", "Int64", "bool"}
    assert {dtype for name, dtype in first.items() if str(name).endswith(("_s", "_low", "_high"))} == {"float64"}
    for path, other in zip(list(types)[1:], others, strict=True):
        assert list(other.items()) == list(first.items()), path


@pytest.mark.parametrize("table_of", [frame, samples])
def test_a_folder_of_parquet_files_of_different_runs_reads_as_one_table(
    table_of: Callable[[Path], pandas.DataFrame], runs: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    tables = [table_of(path) for path in (*runs.values(), *run_files())]
    for number, table in enumerate(tables):
        export_parquet(table, folder / f"{number}.parquet")
    schemas = {str(pyarrow.parquet.read_schema(path).remove_metadata()) for path in folder.iterdir()}
    assert len(schemas) == 1, schemas
    assert "null" not in schemas.pop().replace("not null", "")
    whole = pandas.read_parquet(folder)
    assert len(whole) == sum(map(len, tables))
    assert sorted(whole["step_s"].dropna()) == sorted(s for table in tables for s in table["step_s"].dropna())


def test_duckdb_reads_files_of_different_runs_together(runs: dict[str, Path], tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    for name, path in runs.items():
        export_parquet(frame(path), tmp_path / f"{name}.parquet")
    (count,) = duckdb.sql(f"select count(*) from '{tmp_path}/*.parquet'").fetchone()
    assert count == sum(len(records) for records, _ in RUNS.values())


def test_csv_files_of_different_runs_have_the_same_header_and_the_same_spelling_of_numbers(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    headers, rows = set(), []
    for path in runs.values():
        export_csv(frame(path), tmp_path / "run.csv")
        with (tmp_path / "run.csv").open(newline="") as file:
            reader = csv.DictReader(file)
            headers.add(tuple(reader.fieldnames or ()))
            rows += list(reader)
    assert len(headers) == 1
    assert {row["peak_bytes"] for row in rows} == {"250.0", ""}
    assert {row["outliers_mild"] for row in rows} == {"0", ""}


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (lambda case: 3, 3.0),
        (lambda case: 2.5, 2.5),
        (lambda case: None, None),
        (lambda case: Unavailable("no such counter"), None),
        (lambda case: "text", None),
    ],
)
def test_a_metric_of_a_plugin_is_a_column_of_numbers_whatever_it_returns(
    of: Callable[[object], object], expected: float | None, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(metrics.METRICS, "of_mine", Metric(name="of_mine", unit="1", better=None, of=of))
    for name, path in runs.items():
        column = frame(path)["of_mine"]
        assert column.dtype == "float64"
        if RUNS[name][0] and name != "a case without a measurement":
            assert column.iloc[0] == expected or (expected is None and pandas.isna(column.iloc[0]))
