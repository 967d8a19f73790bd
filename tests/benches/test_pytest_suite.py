"""pytest runs the suite with --benchmark-only and leaves it out otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import GENEROUS_S
from xibench.history import sources
from xibench.history.series import Subject

ROOT = Path(__file__).parents[2]


def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the suite as a user would, without the variables by which pytest-xdist controls its workers."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT, env=variables, capture_output=True, text=True, timeout=GENEROUS_S,
    )  # fmt: skip


def listed(*arguments: str) -> list[str]:
    done = run_suite("--benchmark-only", "--collect-only", "-q", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.partition("[")[2].rstrip("]") for line in done.stdout.splitlines() if "test_step[" in line]


def test_benchmark_only_measures_a_step_and_records_what_it_was(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_suite(
        "benches/pytest_suite", "--benchmark-only", "--framework", "jax", "-k", "xception and batch1 and tuned",
        f"--benchmark-json={report}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [benchmark] = json.loads(report.read_text())["benchmarks"]
    assert benchmark["name"] == "test_step[xception-batch1-jax-tuned]"
    assert benchmark["group"] == "xception, batch 1"
    assert benchmark["stats"]["rounds"] == 10
    assert benchmark["stats"]["iterations"] == 1
    info = benchmark["extra_info"]
    assert (info["batch"], info["resolution"], info["precision"]) == (1, 299, "fp32")
    assert (info["macs"], info["parameters"]) == (8357403496, 22855952)
    assert 4 * 22855952 < info["peak_bytes"] < 8e9
    assert info["settings"]["batch_norm_folded"] is True
    assert "jax" in info["versions"]
    [reading] = sources.read(report)
    assert reading.subject == Subject(framework="jax", model="xception", recipe="tuned", batch=1)


@pytest.mark.parametrize(("asked", "frameworks"), [
    ((), {"pytorch"}), (("--framework", "jax"), {"jax"}), (("--framework", "all"), {"pytorch", "tensorflow", "jax"}),
])  # fmt: skip
def test_one_framework_is_measured_unless_all_are_asked_for(asked: tuple[str, ...], frameworks: set[str]) -> None:
    names = listed(*asked)  # from the root, as documented
    assert {name.split("-")[2] for name in names} == frameworks
    assert len(names) == 8 * len(frameworks)
    recipes = [name.rpartition("-")[2] for name in names]  # `tuned` changes the allocator of the rest of the process
    assert recipes == sorted(recipes)


def test_from_the_root_only_benchmarks_are_selected_and_nothing_is_listed_as_skipped() -> None:
    done = run_suite("--benchmark-only", "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout
    assert "8/24 tests collected" in done.stdout  # not even read: the tests need more than the benchmarks
    assert not [line for line in done.stdout.splitlines() if line.startswith("tests/")]
    assert "--framework all adds jax, tensorflow" in done.stdout


def test_without_the_option_the_suite_is_left_out_with_one_line() -> None:
    done = run_suite("benches/pytest_suite")
    assert "24 deselected" in done.stdout
    assert done.stdout.count("pytest --benchmark-only") == 1
    assert "SKIPPED" not in done.stdout


def test_n_is_ignored_with_one_line(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_suite(
        "benches/pytest_suite", "--benchmark-only", "-n", "2", "--framework", "pytorch",
        "-k", "inception and batch1 and default", f"--benchmark-json={report}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("xibench: -n 2 is ignored") == 1
    assert len(json.loads(report.read_text())["benchmarks"]) == 1


def test_no_framework_preallocates_the_whole_gpu() -> None:
    names = ("XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH")
    code = f"""
import os, sys
import benches.pytest_suite.conftest
print(*map(os.environ.get, {names}), *({{"jax", "tensorflow"}} & set(sys.modules)))
"""
    variables = {name: value for name, value in os.environ.items() if name not in names}
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=variables, text=True)
    assert output.split() == ["false", "true"]
