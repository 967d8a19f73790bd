"""`xibench history` on the files of the tools that people run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import error_of, xibench

COMMITS = [f"{number:040x}" for number in range(1, 100)]
DAY_MS = 86_400_000


def asv_folder(folder: Path, values: Sequence[Sequence[float]], **changed: Any) -> Path:
    """Write results of asv, as version 0.6.6 writes them: a benchmark with a parameter per series, a commit a day."""
    names = [f"'{number}'" for number in range(len(values))]
    described = {"name": "step.time_step", "unit": "seconds", "version": "1", "params": [names], "param_names": ["n"]}
    (folder / "vm").mkdir(parents=True)
    (folder / "benchmarks.json").write_text(json.dumps({"step.time_step": described, "version": 2}))
    (folder / "vm" / "machine.json").write_text(json.dumps({"machine": "vm", "version": 1}))
    for night, commit in zip(range(len(values[0])), COMMITS, strict=False):
        results = [series[night] for series in values]
        content = {
            "commit_hash": commit, "env_name": "virtualenv-py3.11-jax0.10.2", "date": night * DAY_MS, "version": 2,
            "requirements": {"jax": "0.10.2"}, "result_columns": ["result", "params", "version", "started_at"],
            "results": {"step.time_step": [results, [names], "1", night * DAY_MS + 5]},
        }  # fmt: skip
        text = json.dumps(content | changed, allow_nan=True)
        (folder / "vm" / f"{commit[-8:]}-virtualenv-py3.11-jax0.10.2.json").write_text(text)
    return folder


def series(count: int = 6, nights: int = 30, step: float = 0.0, first: int = 20, of: slice = slice(0, 1)) -> Any:
    values = np.random.default_rng(1).normal(0, 0.01, (count, nights))
    values[of, first:] += step
    return np.exp(values) / 10


def test_a_change_in_results_of_asv_is_named_with_its_commits(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", series(step=0.1).tolist())
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    changed = [each for each in found["series"] if each["changes"]]
    assert [each["key"]["name"] for each in changed] == ["step.time_step(0)"]
    ((change,),) = [each["changes"] for each in changed]
    assert change["before"]["commit"] == COMMITS[19]
    assert change["first"]["commit"] == COMMITS[20]
    assert change["ratio"] == pytest.approx(1.105, abs=0.03)
    assert change["state"] == "candidate"

    shown = xibench("history", "asv", cwd=tmp_path).stdout
    assert "6 series, 1 change to confirm." in shown
    assert f"--base git:{COMMITS[19][:10]} --new git:{COMMITS[20][:10]}" in shown


def test_what_most_series_do_at_once_is_the_machine_and_no_commit(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", series(step=0.1, of=slice(0, 5)).tolist())
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    assert [change["state"] for each in found["series"] for change in each["changes"]] == ["machine event"] * 5
    assert "0 changes to confirm" in xibench("history", "asv", cwd=tmp_path).stdout


def test_skipped_benchmarks_are_left_out_and_short_series_are_said_to_be_short(tmp_path: Path) -> None:
    values = series(3, 9).tolist()
    values[1] = [float("nan")] * 9
    asv_folder(tmp_path / "asv", values)
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    assert [each["key"]["name"] for each in found["series"]] == ["step.time_step(0)", "step.time_step(2)"]
    assert all(each["absent"] for each in found["series"])
    assert "2 series have fewer than 11 points" in xibench("history", "asv", cwd=tmp_path).stdout


def test_zeros_and_figures_of_an_earlier_version_of_a_benchmark_are_left_out(tmp_path: Path) -> None:
    values = series(2, 30).tolist()
    values[1] = [0.0] * 30
    folder = asv_folder(tmp_path / "asv", values)
    for file in sorted((folder / "vm").glob("*-virtualenv*.json"))[:10]:
        content = json.loads(file.read_text())
        content["results"]["step.time_step"][2] = "0"
        file.write_text(json.dumps(content))
    (each,) = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)["series"]
    assert each["key"]["name"] == "step.time_step(0)"
    assert each["points"] == 20


def test_commits_that_are_measured_in_another_order_keep_theirs(tmp_path: Path) -> None:
    folder = asv_folder(tmp_path / "asv", series(step=0.1).tolist())
    for night, file in enumerate(sorted((folder / "vm").glob("*-virtualenv*.json"))):
        content = json.loads(file.read_text())
        content["results"]["step.time_step"][3] = (100 - night) * DAY_MS
        file.write_text(json.dumps(content))
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    assert [c["first"]["commit"] for each in found["series"] for c in each["changes"]] == [COMMITS[20]]


def test_an_upgrade_of_a_framework_is_a_step_in_one_series(tmp_path: Path) -> None:
    folder = asv_folder(tmp_path / "asv", series(step=0.1, of=slice(0, 1)).tolist())
    for file in sorted((folder / "vm").glob("*-virtualenv*.json"))[20:]:
        content = json.loads(file.read_text())
        content["requirements"] = {"jax": "0.12.0"}
        file.write_text(json.dumps(content))
    found = json.loads(xibench("history", "asv", "--json", cwd=tmp_path).stdout)
    assert len(found["series"]) == 6
    ((change,),) = [each["changes"] for each in found["series"] if each["changes"]]
    assert change["before"]["versions"] == {"jax": "0.10.2"}
    assert change["first"]["versions"] == {"jax": "0.12.0"}


def test_files_of_pytest_benchmark_are_read(tmp_path: Path) -> None:
    for night, value in enumerate(series(1, 30, step=0.1)[0].tolist()):
        day = f"{night + 1:02}T00:00:00+00:00"
        content = {
            "machine_info": {"node": "laptop"}, "commit_info": {"id": COMMITS[night], "time": f"2026-01-{day}"},
            "datetime": f"2026-03-{day}", "version": "5.3.1",
            "benchmarks": [{"fullname": "test_step.py::test_step[jax]", "stats": {"median": value}}],
        }  # fmt: skip
        (tmp_path / f"{night:04}.json").write_text(json.dumps(content))
    found = json.loads(xibench("history", ".", "--json", cwd=tmp_path).stdout)
    (each,) = found["series"]
    assert each["key"] == {"machine": "laptop", "name": "test_step.py::test_step[jax]", "place": "pytest-benchmark"}
    assert [change["first"]["commit"] for change in each["changes"]] == [COMMITS[20]]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("nowhere", None, "no file or folder nowhere"), ("n" * 300, None, "no file or folder nnn"),
        ("empty", "", "no results"),
        ("cut.json", '{"benchmarks": [', "cut.json cannot be read"),
        ("other.json", '{"a": 1}', "neither a file of pytest-benchmark nor a run file"),
        ("half.json", '{"benchmarks": [{}], "machine_info": {}, "datetime": "2026-01-01"}', "not a file of pytest-b"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_in_one_line(
    name: str, content: str | None, expected: str, tmp_path: Path
) -> None:
    if content == "":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_text(content)
    assert expected in error_of("history", name, cwd=tmp_path, code=2)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"version": 1}, "format 1"), ({"results": {"step.time_step": 3}}, "not a result file"),
        ({"results": 3}, "not a result file"), ({"date": "yesterday"}, "not a result file"),
        ({"results": {"step.time_step": [[0.1], [["'0'", "'1'"]], "1", 5]}}, "not a result file"),
    ],
)
def test_a_damaged_result_of_asv_is_named_in_one_line(changed: Any, expected: str, tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", series(2, 3).tolist(), **changed)
    line = error_of("history", "asv", cwd=tmp_path, code=2)
    assert expected in line
    assert COMMITS[0][-8:] in line


@pytest.mark.parametrize("content", [[], 3, None, "text", {}, {"version": [2]}])
def test_a_json_file_that_is_no_object_of_asv_is_named_in_one_line(content: Any, tmp_path: Path) -> None:
    folder = asv_folder(tmp_path / "asv", series(2, 3).tolist())
    damaged = next((folder / "vm").glob("*-virtualenv*.json"))
    damaged.write_text(json.dumps(content))
    assert damaged.name in error_of("history", "asv", cwd=tmp_path, code=2)

    # The same in place of the list of benchmarks.
    asv_folder(tmp_path / "other", series(2, 3).tolist())
    (tmp_path / "other" / "benchmarks.json").write_text(json.dumps(content))
    if isinstance(content, dict):  # asv leaves out results of benchmarks that are no longer there, too
        assert json.loads(xibench("history", "other", "--json", cwd=tmp_path).stdout) == {"series": []}
    else:
        assert "benchmarks.json" in error_of("history", "other", cwd=tmp_path, code=2)


def test_two_machines_with_one_name_are_shown_apart_and_no_change_is_seen_between_them(tmp_path: Path) -> None:
    folder = asv_folder(tmp_path / "asv", series(step=0.3, of=slice(None)).tolist())
    for night, file in enumerate(sorted((folder / "vm").glob("*-virtualenv*.json"))):
        content = json.loads(file.read_text())
        content["params"] = {"cpu": "Old CPU" if night < 20 else "New CPU", "num_cpu": "2", "machine": "vm"}
        file.write_text(json.dumps(content))
    done = xibench("history", "asv", "--json", cwd=tmp_path)
    [warning] = done.stderr.splitlines()
    assert "results of machine vm are of 2 different processors" in warning
    found = json.loads(done.stdout)["series"]
    assert {each["key"]["machine"] for each in found} == {"vm (Old CPU, 2 CPUs)", "vm (New CPU, 2 CPUs)"}
    assert sum(each["points"] for each in found) == 6 * 30
    assert not [change for each in found for change in each["changes"]]


def test_a_clock_that_went_backwards_is_one_warning_and_the_commits_stay_in_order(tmp_path: Path) -> None:
    folder = asv_folder(tmp_path / "asv", series(step=0.1).tolist())
    for file in sorted((folder / "vm").glob("*-virtualenv*.json"))[25:]:
        content = json.loads(file.read_text())
        content["results"]["step.time_step"][3] = DAY_MS
        file.write_text(json.dumps(content))
    done = xibench("history", "asv", "--json", cwd=tmp_path)
    [warning] = done.stderr.splitlines()
    assert "and 4 more were measured before" in warning
    changed = [change for each in json.loads(done.stdout)["series"] for change in each["changes"]]
    assert [change["first"]["commit"] for change in changed] == [COMMITS[20]]


def test_sources_without_a_figure_that_counts_are_not_reported_as_unchanged(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", [[float("nan")] * 5])
    done = xibench("history", "asv", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("No series: ")
