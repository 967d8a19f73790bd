"""asv runs the suite, and its configuration agrees with the rest of the repository."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from asv.config import Config
from asv_runner.benchmarks.mark import SkipNotImplemented

from benches.asv_suite import cases, networks
from benches.asv_suite.cases import KEEP_DISTURBED, OPTIONS, Cell
from tests.builders import attempt, failure, header, process, small_case
from xibench.history import sources
from xibench.history.series import Subject
from xibench.record.schema import Attempt, Process, SamplingConfig, Substitution
from xibench.record.store import RunFile

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "benches" / "asv_suite"


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.load(str(ROOT / "asv.conf.json"))


@dataclass(frozen=True)
class Asv:
    """asv in a checkout with one commit."""

    checkout: Path
    env: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """Run `asv ARGUMENTS`, assert that it succeeds, and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.checkout, env=self.env, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.check_output(command, cwd=self.checkout, env=self.env, text=True).strip()

    def measure(self, *benchmarks: str) -> dict[str, dict[str, Any]]:
        """Measure benchmarks of HEAD in the environment of the tests and return the columns that asv stored of each."""
        chosen = [argument for name in benchmarks for argument in ("--bench", name)]
        head = self.git("rev-parse", "HEAD")
        self.run("run", "-E", "existing", "--set-commit-hash", head, "--record-samples", "--show-stderr", *chosen)
        [file] = (self.checkout / "results" / "asv").glob(f"*/{head[:8]}-existing-*.json")
        saved = json.loads(file.read_text())
        return {name: dict(zip(saved["result_columns"], row, strict=False)) for name, row in saved["results"].items()}


def checkout(folder: Path) -> Asv:
    """Return asv in a separate checkout, so that the tests do not depend on the state of this one."""
    found, home = folder / "checkout", folder / "home"
    home.mkdir(parents=True)
    for name in ("benches", "frameworks", "xibench", "dashboards"):
        shutil.copytree(ROOT / name, found / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("asv.conf.json", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, found)
    env = {
        **os.environ, "HOME": str(home), "PYTHONPATH": str(found), "ASV_PYTHONPATH": str(found),
        KEEP_DISTURBED: "1",
        OPTIONS: "--processes 1 --budget 0.5 --max-warmup-steps 2 --variant narrow --resolution 96",
    }  # fmt: skip
    asv = Asv(found, env)
    asv.git("init", "-q")
    asv.git("add", "-A")
    asv.git("commit", "-q", "-m", "suite")
    asv.run("machine", "--yes")
    return asv


@pytest.fixture(scope="module")
def asv(tmp_path_factory: pytest.TempPathFactory) -> Asv:
    return checkout(tmp_path_factory.mktemp("asv"))


CELL = r"\('inception_v3', 'default', 1\)"
PARAMS = [["'xception'", "'inception_v3'"], ["'default'", "'tuned'", "'tuned bf16'"], ["1", "8"]]


@pytest.fixture(scope="module")
def measured(asv: Asv) -> dict[str, dict[str, Any]]:
    """What asv stored of three figures of a case, and of the exact ones."""
    names = ("track_seconds_per_image", "track_first_result_seconds", "track_peak_host_bytes")
    return asv.measure(*(rf"networks\.PyTorch\.{name}{CELL}" for name in names), "networks.Exact")


def of_cell(stored: Mapping[str, Any], column: str) -> Any:
    """Return a column's value of the case of these tests; all other cells must be empty, because none was asked for."""
    assert stored["params"] == PARAMS
    number = list(product(*PARAMS)).index(("'inception_v3'", "'default'", "1"))
    assert all(is_empty(value) for index, value in enumerate(stored[column]) if index != number)
    return stored[column][number]


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def test_asv_stores_the_samples_of_the_instrument_with_their_interval(measured: dict[str, dict[str, Any]]) -> None:
    seconds = measured["networks.PyTorch.track_seconds_per_image"]
    samples = of_cell(seconds, "samples")
    assert len(samples) >= 5  # --min-steps
    assert of_cell(seconds, "result") == pytest.approx(float(np.median(samples)))
    assert of_cell(seconds, "stats_ci_99_a") <= np.median(samples) <= of_cell(seconds, "stats_ci_99_b")


def test_one_measurement_serves_all_figures_of_a_case(measured: dict[str, dict[str, Any]]) -> None:
    [first] = of_cell(measured["networks.PyTorch.track_first_result_seconds"], "samples")
    [peak] = of_cell(measured["networks.PyTorch.track_peak_host_bytes"], "samples")
    assert first > 0
    assert 1e5 < peak < 1e9  # a narrow network, without PyTorch's own libraries
    durations = [measured[f"networks.PyTorch.{name}"]["duration"] for name in (
        "track_first_result_seconds", "track_peak_host_bytes", "track_seconds_per_image",
    )]  # fmt: skip
    assert sum(durations) < 2 * max(durations)


def test_exact_figures_are_those_of_the_paper_s_network(measured: dict[str, dict[str, Any]]) -> None:
    assert measured["networks.Exact.track_macs"]["result"] == [8357403496, 5713216096]
    assert measured["networks.Exact.track_parameters"]["result"] == [22855952, 23817352]


def test_history_reads_what_asv_stored_and_knows_what_confirms_it(
    asv: Asv, measured: dict[str, dict[str, Any]]
) -> None:
    assert measured
    readings = {reading.key.name: reading for reading in sources.read(asv.checkout / "results" / "asv")}
    reading = readings["networks.PyTorch.track_seconds_per_image(inception_v3, default, 1)"]
    assert reading.subject == Subject(framework="pytorch", model="inception_v3", batch=1)
    assert reading.point.commit == asv.git("rev-parse", "HEAD")


@pytest.mark.slow
def test_asv_compares_and_publishes_what_was_measured(asv: Asv, measured: dict[str, dict[str, Any]]) -> None:
    first = asv.git("rev-parse", "HEAD")
    (asv.checkout / "note").write_text("a commit\n")
    asv.git("add", "-A")
    asv.git("commit", "-q", "-m", "note")
    again = asv.measure(rf"networks\.PyTorch\.track_seconds_per_image{CELL}")
    assert of_cell(again["networks.PyTorch.track_seconds_per_image"], "samples")
    assert "track_seconds_per_image" in asv.run("compare", first, "HEAD")
    asv.run("publish")
    assert (asv.checkout / ".asv" / "html" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.longest
def test_asv_builds_an_environment_with_the_versions_of_the_commit(tmp_path: Path) -> None:
    asv = checkout(tmp_path)
    commits = []
    for wanted in ("3.1.0", "3.2.0"):
        constraints = (ROOT / "constraints.txt").read_text()
        edited = re.sub(r"^termcolor==.*$", f"termcolor=={wanted}", constraints, flags=re.MULTILINE)
        (asv.checkout / "constraints.txt").write_text(edited)
        asv.git("commit", "-q", "-a", "-m", wanted)
        commits.append((asv.git("rev-parse", "HEAD"), wanted))

    # The first commit is measured twice: the second time asv takes its wheel from where it keeps what it built.
    for commit, wanted in (*commits, commits[0]):
        asv.run("run", "--bench", "networks.Exact", "--show-stderr", f"{commit}^!")
        [file] = (asv.checkout / "results" / "asv").glob(f"*/{commit[:8]}-virtualenv-*.json")
        assert json.loads(file.read_text())["results"]["networks.Exact.track_parameters"][0] == [22855952, 23817352]
        [installed] = (asv.checkout / ".asv" / "env").glob("*/lib/*/site-packages/termcolor-*.dist-info")
        assert installed.name == f"termcolor-{wanted}.dist-info"


def record_in(folder: Path, cell: Cell, *attempts: Attempt, processes: int = 2) -> None:
    """Write the run file of a cell into a folder."""
    with RunFile.create(folder / cell.file, header([attempts[0].case], SamplingConfig(processes=processes))) as file:
        for each in attempts:
            file.append(each)


CASE = small_case()
CELL_OF_TESTS = Cell("pytorch", ("--model", "xception"), "default", "fp32", 1)
DISTURBED = ["others took 31 % of the cores"]


def seconds(process: Process) -> list[float]:
    return process.steps_s


def test_figures_are_those_of_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = msgspec.structs.replace(process([0.8, 1.6]), compile_s=2.0)  # its first step takes 0.9 s, its memory 250 B
    record_in(tmp_path, CELL_OF_TESTS._replace(batch=8), attempt(CASE, made=made), processes=1)
    suite = networks.PyTorch()
    figures = [
        benchmark("xception", "default", 8)["samples"]
        for benchmark in (suite.track_seconds_per_image, suite.track_first_result_seconds, suite.track_peak_host_bytes)
    ]
    assert figures == [[0.1, 0.2], [2.9], [250]]


def test_disturbed_processes_give_no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record_in(
        tmp_path, CELL_OF_TESTS, attempt(CASE, [1.0, 2.0]), attempt(CASE, [9.0], number=1, disturbed=DISTURBED),
        attempt(CASE, [3.0], number=2), processes=3,
    )  # fmt: skip
    assert cases.samples(CELL_OF_TESTS, seconds) == {"samples": [1.0, 2.0, 3.0], "number": 1}


def test_a_case_that_was_disturbed_too_often_is_not_applicable_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record_in(
        tmp_path, CELL_OF_TESTS, attempt(CASE, disturbed=DISTURBED), attempt(CASE, number=1, disturbed=DISTURBED),
        attempt(CASE, number=2), processes=3,
    )  # fmt: skip
    with pytest.raises(SkipNotImplemented, match=r"1 of 3 processes were undisturbed; .*31 % of the cores"):
        cases.samples(CELL_OF_TESTS, seconds)
    assert capsys.readouterr().err.startswith("n/a: ")


def test_disturbed_processes_count_where_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(KEEP_DISTURBED, "1")
    record_in(tmp_path, CELL_OF_TESTS, attempt(CASE, [1.0, 2.0], disturbed=DISTURBED), processes=1)
    assert cases.samples(CELL_OF_TESTS, seconds)["samples"] == [1.0, 2.0]


def test_a_substitution_is_not_an_ordinary_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replaced = [Substitution(wanted="inductor", ran="eager", why="no C++ compiler")]
    made = msgspec.structs.replace(process(), substitutions=replaced)
    record_in(tmp_path, CELL_OF_TESTS, attempt(CASE, made=made), processes=1)
    with pytest.raises(SkipNotImplemented, match=r"inductor was not possible, eager ran: no C\+\+ compiler"):
        cases.samples(CELL_OF_TESTS, seconds)


@pytest.mark.parametrize(("status", "error"), [("unsupported", SkipNotImplemented), ("timeout", RuntimeError)])
def test_a_case_without_a_result_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Any, error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    [ended] = failure(CASE, "bf16 takes a GPU").attempts
    record_in(tmp_path, CELL_OF_TESTS, msgspec.structs.replace(ended, status=status))
    with pytest.raises(error, match="bf16 takes a GPU"):
        cases.samples(CELL_OF_TESTS, seconds)


def test_what_the_command_refuses_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(OPTIONS, "--min-steps none")
    with pytest.raises(RuntimeError, match="--min-steps"):
        cases.samples(CELL_OF_TESTS, seconds)


def test_asv_installs_the_versions_of_the_commit(config: Config) -> None:
    """The build puts the constraints beside the wheel, because asv keeps nothing else of a commit that it has built."""
    assert config.matrix == {}
    assert any("{build_dir}/constraints.txt" in command for command in config.build_command)
    [install] = config.install_command
    assert "--constraint {build_cache_dir}/constraints.txt" in install
    assert "{wheel_file}[all]" in install
    assert "asv_runner" in install  # which asv itself does not pin


def test_the_folders_of_asv_are_the_documented_ones(config: Config) -> None:
    assert (config.results_dir, config.env_dir, config.html_dir) == ("results/asv", ".asv/env", ".asv/html")
    assert config.benchmark_dir == "benches/asv_suite"


def test_every_benchmark_has_an_explicit_version_so_that_edits_keep_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(SUITE.parent)
    found = []
    for name in ("networks", "operators"):
        module = importlib.import_module(f"asv_suite.{name}")
        found += [value for key, value in vars(module).items() if isinstance(value, type) and not key.startswith("_")]
    suites: list[Any] = [value for value in found if any(name.startswith("track_") for name in dir(value))]
    assert {suite.__name__ for suite in suites} >= {"PyTorch", "TensorFlow", "JAX", "Exact", "JAXOperators"}
    for suite in suites:
        assert isinstance(suite.version, str)
        for name in (name for name in dir(suite) if name.startswith("track_")):
            benchmark = getattr(suite, name)
            params = getattr(benchmark, "params", suite.params)
            assert len(params) == len(getattr(benchmark, "param_names", suite.param_names))
            assert benchmark.unit


def test_constraints_pin_all_requirements_of_pyproject_and_contain_no_url() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [r for requirements in project["optional-dependencies"].values() for r in requirements]
    required = {re.split(r"[^\w.-]", r)[0].lower() for r in [*project["dependencies"], *extras]} - {"xibench"}
    beside_another_torch = {"timm", "torchvision"}  # their versions follow from that of PyTorch in .venvs/pytorch
    assert required - beside_another_torch <= pinned
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"\b{name}==[\d.]+", makefile) for name in (*beside_another_torch, "torch"))
