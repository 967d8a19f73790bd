from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.errors import UnknownName
from tests.cli.command import ROOT, xibench_process
from xibench.record.store import read
from xibench.scenarios import OFFLINE, SCENARIOS, described, find, register

NAME = "image-pairs"
PLUGIN = {
    "XIBENCH_PLUGINS": "toy_plugin",
    "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent))),
}
CASE = (
    "-f", "reference", "-m", "xception", "--variant", "narrow", "--resolution", "75", "--images", "noise", "--device",
    "cpu", "--scenario", NAME, "--batch", "2", "--no-ceilings",
)  # fmt: skip


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The real command with the plugin loaded."""
    return xibench_process(*arguments, cwd=cwd, **PLUGIN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the toy scenario."""
    path = tmp_path_factory.mktemp("toy")
    done = command("run", *CASE, "--out", "a.jsonl", cwd=path)
    assert done.returncode == 0, done.stderr
    assert "images/s" in done.stderr
    return path


def test_an_unknown_scenario_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UnknownName, match="did you mean offline"):
        find("ofline")


def test_two_scenarios_of_one_name_are_refused_and_the_same_one_twice_is_one() -> None:
    from dataclasses import replace

    register(OFFLINE)
    with pytest.raises(ValueError, match="'offline' is registered already"):
        register(replace(OFFLINE, label="Another"))
    assert SCENARIOS["offline"] is OFFLINE


def test_a_record_of_a_scenario_that_is_not_registered_is_described_by_its_name() -> None:
    assert "strange" not in SCENARIOS
    assert (described("strange").name, described("strange").label) == ("strange", "strange")


def test_importing_the_scenarios_imports_no_numpy_and_no_framework() -> None:
    code = "import sys, xibench.scenarios; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "psutil", "torch", "tensorflow", "jax"} & set(done.stdout.split())


def test_a_plugins_scenario_is_listed(tmp_path: Path) -> None:
    found = json.loads(command("list", "--json", cwd=tmp_path).stdout)
    assert found["scenarios"] == ["offline", "single-stream", "server", "compile", NAME]
    assert found["purposes"]["scenarios"][NAME] == "two images at a time, one pair after another"


def test_a_plugins_scenario_runs_by_its_own_sampling_rule(folder: Path) -> None:
    run = read(folder / "a.jsonl")
    (record,) = run.records
    assert (record.case.scenario, record.status) == (NAME, "ok")
    assert (run.header.sampling.processes, run.header.sampling.max_steps) == (2, 4)
    assert [len(process.steps_s) for process in record.processes] == [4, 4]


def test_a_plugins_scenario_is_shown_with_the_columns_that_it_names(folder: Path) -> None:
    shown = command("show", "a.jsonl", cwd=folder).stdout
    assert all(words in shown for words in (NAME, "images/s", "p99", "peak"))
    assert "attained" not in shown
    (case,) = json.loads(command("show", "a.jsonl", "--json", cwd=folder).stdout)["records"]
    assert case["case"]["scenario"] == NAME


def test_a_plugins_scenario_is_exported_and_compared(folder: Path) -> None:
    done = command("export", "a.jsonl", "--out", "a.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert NAME in (folder / "a.csv").read_text()
    compared = json.loads(command("compare", "a.jsonl", "a.jsonl", "--json", cwd=folder).stdout)
    assert [pair["case"]["scenario"] for pair in compared["pairs"]] == [NAME]


def test_a_plugins_scenario_has_its_figures_on_the_site(folder: Path) -> None:
    done = command("report", "a.jsonl", "--out", "site", cwd=folder)
    assert done.returncode == 0, done.stderr
    for page in ("index.html", "latency.html"):
        assert NAME in (folder / "site" / page).read_text()


def test_a_run_of_a_plugins_scenario_is_readable_without_the_plugin(folder: Path) -> None:
    done = xibench_process("show", "a.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout


def test_no_file_of_the_product_knows_the_plugins_scenario() -> None:
    packages = ("xibench", "frameworks", "dashboards", "benches")
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert not [path for path in sources if NAME in path.read_text(encoding="utf-8")]
