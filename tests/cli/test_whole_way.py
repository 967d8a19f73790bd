"""From nothing to a site: one tiny run with PyTorch, and everything that is made from it."""

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
    """A folder with the file of one run, and what the command said in said.txt."""
    folder = tmp_path_factory.mktemp("whole-way")
    arguments = ("-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1")
    done = xibench("run", *arguments, "--device", "cpu", "--min-steps", "5", "--budget", "0.5", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout + done.stderr)
    return folder


def test_a_run_says_its_headline_where_the_file_is_and_what_comes_next(folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    (file,) = (folder / "results/runs").glob("*.jsonl")
    assert "images/s" in said
    assert "do not include the variation between processes" in said
    assert f"xibench report {file.relative_to(folder)}" in said
    assert "[1/1] pytorch xception/narrow default fp32 batch 1 71 px cpu: " in said


def test_its_figures_agree_with_each_other(folder: Path) -> None:
    found = json.loads(xibench("show", "latest", "--json", cwd=folder).stdout)
    assert found["run"]["command"].startswith("xibench run -f pytorch -m xception")
    assert found["environment"]["packages"]["torch"]
    (record,) = found["records"]
    assert record["status"] == "ok"
    step = record["step_s"]
    assert 0 < step["low"] <= step["median"] <= step["high"]
    assert step["n"] >= 5
    assert record["images_per_s"] == pytest.approx(1 / step["median"])
    assert record["peak_bytes"] > 0
    assert {p["precision"] for p in found["calibration"]["products"] if p["flops_per_s"]} == {"fp32"}
    assert record["attained"] == pytest.approx(record["costs"]["attainable_s"] / step["median"])
    assert record["versions"]["torch"] == found["environment"]["packages"]["torch"]


def test_the_layers_of_its_network_are_held_against_its_ceilings(folder: Path) -> None:
    arguments = ("xception", "--variant", "narrow", "--resolution", "71", "--run", "latest", "--json")
    roof = json.loads(xibench("cost", *arguments, cwd=folder).stdout)["roofline"]
    (record,) = json.loads(xibench("show", "latest", "--json", cwd=folder).stdout)["records"]
    assert roof["attainable_s"] == pytest.approx(record["costs"]["attainable_s"])


@pytest.mark.alone
def test_a_run_beside_a_busy_process_is_marked_disturbed_and_says_why(folder: Path) -> None:
    arguments = ("-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1")
    short = ("--device", "cpu", "--budget", "0.5", "--repeats", "1", "--no-ceilings", "--out", "busy.jsonl")
    loops = max(1, len(os.sched_getaffinity(0)) // 8)  # at least an eighth of the cores
    with ExitStack() as stack:
        for _ in range(loops):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        done = xibench_process("run", *arguments, *short, cwd=folder)  # here the loops were the run's own children
    assert "disturbed (to be repeated): others took" in done.stderr
    assert "ok ‡" in done.stdout
    assert "‡ disturbed: others took" in done.stdout
    assert "1 process was disturbed and repeated" in done.stdout
    (record,) = json.loads(xibench("show", "busy.jsonl", "--json", cwd=folder).stdout)["records"]
    assert (record["processes"], record["set_aside"]) == (1, 1)
    assert "of the usable cores' time (limit 5" in record["disturbed"][0]


def test_it_is_exported_and_reported(folder: Path) -> None:
    assert xibench("export", "latest", "--out", "run.parquet", cwd=folder).returncode == 0
    assert list(pandas.read_parquet(folder / "run.parquet")["status"]) == ["ok"]
    done = xibench("report", "latest", "--out", "charts", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "charts/index.html\n"
    assert (folder / "charts/index.html").is_file()
