"""pytest runs the suite with --benchmark-only and skips it otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.processes import GENEROUS_S

ROOT = Path(__file__).parents[2]


def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the suite as a user would, without the variables by which pytest-xdist controls its workers."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "benches/pytest_suite", *arguments],
        cwd=ROOT, env=variables, capture_output=True, text=True, timeout=GENEROUS_S,
    )


def test_benchmark_only_measures_a_step_and_records_its_settings(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_suite(
        "--benchmark-only", "-k", "jax and xception and tuned", f"--benchmark-json={report}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [benchmark] = json.loads(report.read_text())["benchmarks"]
    assert benchmark["group"] == "xception jax"
    assert benchmark["stats"]["rounds"] == 10
    assert benchmark["stats"]["iterations"] == 1
    info = benchmark["extra_info"]
    assert (info["batch"], info["resolution"], info["precision"]) == (1, 299, "fp32")
    assert info["settings"]["batch_norm_folded"] is True
    assert "jax" in info["versions"]


def test_default_is_measured_before_tuned_changes_the_allocator_of_the_process() -> None:
    listed = run_suite("--benchmark-only", "--collect-only", "-q").stdout.splitlines()
    recipes = [line.rpartition("-")[2].rstrip("]") for line in listed if "test_step[" in line]
    assert recipes == ["default"] * 6 + ["tuned"] * 6


def test_plain_pytest_skips_the_suite_and_reports_how_to_run_it() -> None:
    done = run_suite()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 skipped" in done.stdout
    assert "pytest --benchmark-only" in done.stdout


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
