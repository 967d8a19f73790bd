from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import msgspec
import pandas
import pytest

from tests.builders import append, calibration, failure, header, measured, record, small_case
from tests.cli.command import ROOT, error_of, xibench
from xibench.record.schema import SamplingConfig, Substitution
from xibench.record.store import RunFile

GOOD, BAD, LEFT = small_case("pytorch"), small_case("tensorflow"), small_case("jax")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose newest run has a measured case with a substitution, a failed case and a pending case."""
    good = record(GOOD, (0.1, 0.2, 0.3, 0.2, 0.2))
    instead = Substitution(wanted="inductor", why="no C++ compiler", ran="eager")
    process = msgspec.structs.replace(good.processes[0], substitutions=[instead])
    with RunFile.create(tmp_path / "results/runs", header([GOOD, BAD, LEFT])) as run_file:
        run_file.append(calibration())
        append(run_file, measured(GOOD, process), failure(BAD, reason="the worker exited with code 3"))
    return tmp_path


def test_the_json_has_the_shape_that_scripts_rely_on(folder: Path) -> None:
    done = xibench("show", "latest", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert {"run", "environment", "records"} <= set(found)
    good, bad = found["records"]
    assert good["case"]["framework"] == "pytorch"
    assert good["status"] == "ok"
    assert good["step_s"]["median"] == 0.2
    assert good["step_s"]["low"] <= 0.2 <= good["step_s"]["high"]
    assert good["images_per_s"] == pytest.approx(5)
    assert good["step_s"]["processes"] == 1
    assert good["peak_bytes"] == 250
    assert good["attained"] == pytest.approx(0.25)
    assert good["latency_s"]["p50"]["value"] is None
    assert good["latency_s"]["p50"]["needed"] == 6
    assert good["joules_per_image"] is None
    assert "RAPL" in good["absent"]["joules_per_image"]
    assert (good["disturbed"], good["set_aside"], good["failed"], good["unsteady"]) == ([], 0, 0, 0)
    assert found["calibration"]["copies"][0]["bytes_per_s"] == 1e9
    assert bad["step_s"] is None
    assert bad["reason"] == "the worker exited with code 3"
    assert bad["absent"]["images_per_s"]


def test_notes_explain_intervals_substitutions_and_failures(folder: Path) -> None:
    shown = xibench("show", cwd=folder).stdout
    assert "5.00 [" in shown
    assert "ACME CPU (AVX2), 2 cores" in shown
    assert "do not include the variation between processes" in shown
    assert "ok †" in shown
    assert "† requested inductor; no C++ compiler; ran eager (pytorch" in shown
    assert "failed: the worker exited with code 3 (tensorflow" in shown
    assert "torch 2.13.0" in shown
    assert "25 %" in shown
    assert "copy 1.00 GB/s" in shown
    assert "Of 3 cases, 1 is not measured yet: `xibench run --resume results/runs/" in shown


def test_the_command_that_resumes_a_run_is_quoted_for_a_shell(folder: Path) -> None:
    (file,) = (folder / "results/runs").glob("*.jsonl")
    file.rename(folder / "my run.jsonl")
    assert "`xibench run --resume 'my run.jsonl'`" in xibench("show", "my run.jsonl", cwd=folder).stdout


def test_csv_goes_to_stdout_a_line_per_case(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(xibench("show", "--csv", cwd=folder).stdout)))
    assert [row["framework"] for row in rows] == ["pytorch", "tensorflow"]
    assert float(rows[0]["step_s"]) == 0.2
    assert rows[1]["step_s"] == ""


def test_json_and_csv_together_are_refused(folder: Path) -> None:
    assert "--json and --csv" in error_of("show", "--json", "--csv", cwd=folder, code=2)


def test_a_case_with_pending_processes_does_not_count_as_measured(tmp_path: Path) -> None:
    with RunFile.create(tmp_path / "run.jsonl", header([GOOD, LEFT], SamplingConfig(processes=3))) as run_file:
        append(run_file, record(GOOD, (0.1, 0.2), (0.1, 0.2)))
    shown = xibench("show", "run.jsonl", cwd=tmp_path).stdout
    assert "Of 2 cases, 1 is not measured yet and 1 is to be measured or repeated in part: `xibench run" in shown


def test_a_run_file_of_format_1_is_shown_with_reasons_for_missing_figures(tmp_path: Path) -> None:
    done = xibench("show", ROOT / "results/reference/amd-epyc-avx512-2c/quick-0.1.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "attained is empty: files of format 1 do not hold it (every case)" in done.stdout


def test_a_run_without_records_is_reported_as_not_measured(tmp_path: Path) -> None:
    RunFile.create(tmp_path / "run.jsonl", header([GOOD])).close()
    assert "1 case planned, none measured yet" in xibench("show", "run.jsonl", cwd=tmp_path).stdout


@pytest.mark.parametrize("command", [["show"], ["report"], ["export", "--out", "x.csv"]])
def test_latest_without_any_run_is_refused_with_the_command_that_makes_one(command: list[str], tmp_path: Path) -> None:
    line = error_of(*command, cwd=tmp_path, code=2)
    assert "results/runs" in line
    assert "`xibench run" in line


def test_a_missing_run_file_is_named(tmp_path: Path) -> None:
    assert "nix.jsonl does not exist" in error_of("show", "nix.jsonl", cwd=tmp_path, code=2)


def test_csv_and_parquet_contain_the_same_cases(folder: Path) -> None:
    for name in ("run.csv", "run.parquet"):
        done = xibench("export", "--out", name, cwd=folder)
        assert done.stdout == f"{name}\n", done.stderr
    left, right = pandas.read_csv(folder / "run.csv"), pandas.read_parquet(folder / "run.parquet")
    assert list(left.columns) == list(right.columns)
    assert list(left["step_s"].dropna()) == list(right["step_s"].dropna()) == [0.2]


def test_samples_are_one_row_per_timed_step(folder: Path) -> None:
    xibench("export", "latest", "--out", "steps.csv", "--samples", cwd=folder)
    assert list(pandas.read_csv(folder / "steps.csv")["step_s"]) == [0.1, 0.2, 0.3, 0.2, 0.2]


def test_an_unknown_suffix_of_an_export_is_refused(folder: Path) -> None:
    line = error_of("export", "--out", "run.xlsx", cwd=folder, code=2)
    assert "run.xlsx" in line
    assert ".parquet" in line
