"""End to end: one tiny run with PyTorch, and all output that is made from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pandas
import pytest

from tests.cli.command import xibench, xibench_process

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file of one run, and the output of the command in output.txt."""
    folder = tmp_path_factory.mktemp("whole-way")
    arguments = ("-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1")
    done = xibench("run", *arguments, "--device", "cpu", "--min-steps", "5", "--budget", "0.5", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    return folder


def test_a_run_prints_its_headline_its_file_and_the_next_commands(folder: Path) -> None:
    output = (folder / "output.txt").read_text()
    (file,) = (folder / "results/runs").glob("*.jsonl")
    assert "images/s" in output
    assert "do not include the variation between processes" in output
    assert f"xibench report {file.relative_to(folder)}" in output
    assert "[1/1] pytorch xception/narrow default fp32 batch 1 71 px cpu: " in output


def test_the_figures_of_a_run_are_consistent(folder: Path) -> None:
    found = json.loads(xibench("show", "latest", "--json", cwd=folder).stdout)
    assert found["run"]["command"].startswith("xibench run -f pytorch -m xception")
    (record,) = found["records"]
    assert record["status"] == "ok"
    step = record["step_s"]
    assert 0 < step["low"] <= step["median"] <= step["high"]
    assert step["n"] >= 5
    assert record["images_per_s"] == pytest.approx(1 / step["median"])
    assert record["peak_bytes"] > 0
    assert {p["precision"] for p in found["calibration"]["products"] if p["flops_per_s"]} == {"fp32"}
    assert record["attained"] == pytest.approx(record["costs"]["attainable_s"] / step["median"])
    if found["environment"]["interpreters"]["pytorch"] == "parent":  # it may have an environment of its own
        assert record["versions"]["torch"] == found["environment"]["packages"]["torch"]


def test_cost_compares_the_layers_of_a_network_with_the_ceilings_of_a_run(folder: Path) -> None:
    arguments = ("xception", "--variant", "narrow", "--resolution", "71", "--run", "latest", "--json")
    roof = json.loads(xibench("cost", *arguments, cwd=folder).stdout)["roofline"]
    (record,) = json.loads(xibench("show", "latest", "--json", cwd=folder).stdout)["records"]
    assert roof["attainable_s"] == pytest.approx(record["costs"]["attainable_s"])


@pytest.mark.alone
def test_a_run_beside_a_busy_process_is_marked_as_disturbed_with_the_reason(folder: Path) -> None:
    arguments = ("-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1")
    short = ("--device", "cpu", "--budget", "0.5", "--repeats", "1", "--no-ceilings", "--out", "busy.jsonl")
    loops = max(1, len(os.sched_getaffinity(0)) // 8)  # at least an eighth of the cores
    with ExitStack() as stack:
        for _ in range(loops):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        # A process of its own, because the busy loops would count as children of a run in this process.
        done = xibench_process("run", *arguments, *short, cwd=folder)
    assert "disturbed (to be repeated): others took" in done.stderr
    assert "ok ‡" in done.stdout
    assert "‡ disturbed: others took" in done.stdout
    assert "1 process was disturbed and repeated" in done.stdout
    (record,) = json.loads(xibench("show", "busy.jsonl", "--json", cwd=folder).stdout)["records"]
    assert (record["processes"], record["set_aside"]) == (1, 1)
    assert "of the usable cores' time (limit 5" in record["disturbed"][0]


def test_a_run_can_be_exported_and_reported(folder: Path) -> None:
    assert xibench("export", "latest", "--out", "run.parquet", cwd=folder).returncode == 0
    assert list(pandas.read_parquet(folder / "run.parquet")["status"]) == ["ok"]
    done = xibench("report", "latest", "--out", "charts", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "charts/index.html\n"
    assert (folder / "charts/index.html").is_file()
