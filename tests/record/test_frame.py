from __future__ import annotations

import sys
from pathlib import Path

import pandas
import pytest

from tests.builders import append, attempt, calibration, failure, header, record, small_case
from xibench.errors import StoreError
from xibench.record.frame import export_csv, export_parquet, frame, samples
from xibench.record.store import RunFile

PLAN = [small_case("pytorch", batch=4), small_case("jax")]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        run_file.append(calibration())
        append(run_file, record(PLAN[0], (0.1, 0.2, 0.4)), failure(PLAN[1]))
    return run_file.path


def test_a_frame_has_one_row_per_case_with_its_figures(written: Path) -> None:
    table = frame(written)
    assert list(table["framework"]) == ["pytorch", "jax"]
    first = table.iloc[0]
    assert first["step_s"] == pytest.approx(0.2)
    assert first["step_s_low"] <= first["step_s"] <= first["step_s_high"]
    assert first["images_per_s"] == pytest.approx(20.0)
    assert (first["steps"], first["peak_bytes"], first["macs"]) == (3, 250, 300)
    assert (first["machine"], first["run"]) == ("acme-cpu-2c", "0123456789abcdef")


def test_the_figures_of_a_frame_have_the_same_columns_whatever_was_measured(tmp_path: Path) -> None:
    with RunFile.create(tmp_path, header(PLAN)) as run_file:
        append(run_file, failure(PLAN[0]))
    columns = list(frame(run_file.path).columns)
    assert columns[columns.index("step_s") : columns.index("substitutions")] == [
        "step_s", "step_s_low", "step_s_high", "images_per_s", "images_per_s_low", "images_per_s_high", "p50_s",
        "p90_s", "p99_s", "compile_s", "compile_s_low", "compile_s_high", "first_step_s", "first_step_s_low",
        "first_step_s_high", "peak_bytes", "device_peak_bytes", "compiled_temporary_bytes", "macs_per_s", "attained",
        "joules_per_image", "joules_per_image_above_idle", "highest_rate_hz",
    ]  # fmt: skip


def test_a_case_without_a_measurement_has_no_figure_but_a_reason(written: Path) -> None:
    row = frame(written).iloc[1]
    assert (row["status"], row["steps"]) == ("failed", 0)
    assert "exited with code 3" in row["reason"]
    assert pandas.isna(row["step_s"])


def test_samples_have_one_row_per_timed_step(written: Path) -> None:
    table = samples(written)
    assert list(table["step_s"]) == [0.1, 0.2, 0.4]
    assert list(table["step"]) == [0, 1, 2]
    assert set(table["framework"]) == {"pytorch"}


def test_several_runs_go_into_one_frame(written: Path, tmp_path: Path) -> None:
    with RunFile.create(tmp_path / "other.jsonl", header(PLAN, run_id="fedcba")) as other:
        append(other, record(PLAN[0]))
    assert list(frame(written, other.path)["run"]) == ["0123456789abcdef", "0123456789abcdef", "fedcba"]


def test_csv_and_parquet_hold_what_the_frame_holds(written: Path, tmp_path: Path) -> None:
    table = frame(written)
    export_csv(table, tmp_path / "t.csv")
    export_parquet(table, tmp_path / "t.parquet")
    for read in (pandas.read_csv(tmp_path / "t.csv"), pandas.read_parquet(tmp_path / "t.parquet")):
        assert list(read.columns) == list(table.columns)
        assert read["step_s"].iloc[0] == pytest.approx(0.2)


@pytest.mark.parametrize("export", [export_csv, export_parquet])
def test_a_file_that_cannot_be_written_is_one_line(written: Path, tmp_path: Path, export: object) -> None:
    assert callable(export)
    with pytest.raises(StoreError, match=r"cannot be written: .*name a file in a folder that exists"):
        export(frame(written), tmp_path / "nowhere" / "t")


def test_parquet_without_pyarrow_says_what_to_install(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = frame(written)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError, match="pip install pyarrow"):
        export_parquet(table, tmp_path / "t.parquet")


def test_a_frame_has_the_ceilings_of_its_run_and_what_of_them_was_attained(written: Path) -> None:
    row = frame(written).iloc[0]
    assert (row["peak_flops_per_s"], row["copy_bytes_per_s"]) == (12e9, 1e9)
    assert row["attained"] == pytest.approx(0.05 / 0.2)


def test_steps_of_a_process_that_was_set_aside_are_there_and_say_so(tmp_path: Path) -> None:
    case = PLAN[0]
    with RunFile.create(tmp_path, header([case])) as run_file:
        run_file.append(attempt(case, (9.0,), order=0, disturbed=["load 9"], superseded=True))
        run_file.append(attempt(case, (0.1, 0.2), order=1))
    table = samples(run_file.path)
    assert list(zip(table["process"], table["order"], table["set_aside"], table["step_s"], strict=True)) == [
        (0, 0, True, 9.0), (1, 1, False, 0.1), (1, 1, False, 0.2),
    ]  # fmt: skip
    row = frame(run_file.path).iloc[0]
    assert (row["processes"], row["set_aside"], row["steps"]) == (1, 1, 2)


def test_a_process_whose_repetition_is_owed_counts_in_both_frames(tmp_path: Path) -> None:
    case = PLAN[0]
    with RunFile.create(tmp_path, header([case])) as run_file:
        run_file.append(attempt(case, (0.3,), order=0, disturbed=["load 9"], superseded=True))
    assert list(samples(run_file.path)["set_aside"]) == [False]
    row = frame(run_file.path).iloc[0]
    assert (row["processes"], row["set_aside"]) == (1, 0)
