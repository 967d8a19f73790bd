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
import sysconfig
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from asv.environment import iter_matrix
from asv.util import interpolate_command

import frameworks

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

    def run(self, *arguments: str) -> None:
        """Run `asv ARGUMENTS` and assert that it succeeds."""
        done = subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=self.checkout, env=self.env, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def asv(tmp_path_factory: pytest.TempPathFactory) -> Asv:
    """asv in a separate checkout, so that the tests do not depend on the state of this one."""
    folder = tmp_path_factory.mktemp("asv")
    checkout, home = folder / "checkout", folder / "home"
    home.mkdir()
    for name in ("benches", "frameworks"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "asv.conf.json", checkout)
    env = {**os.environ, "HOME": str(home), "ASV_PYTHONPATH": str(checkout)}
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "suite"]):
        subprocess.run(["git", *command], cwd=checkout, env=env, check=True, capture_output=True)

    found = Asv(checkout, env)
    found.run("machine", "--yes")
    return found


def pip(python: Path, command: str, *options: str, **places: Path) -> None:
    """Run a pip command of asv.conf.json as asv does, with the given Python."""
    words, _, _, folder = interpolate_command(command, {name: str(place) for name, place in places.items()})
    subprocess.run([python, *words[1:], *options], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def measured(asv: Asv) -> dict[str, dict[str, Any]]:
    """Saved results of asv by benchmark, after one quick run in the environment of the tests."""
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=asv.checkout, text=True).strip()
    benchmarks = (
        r"Step\.time_step\('pytorch', 'inception_v3', 'default'\)",
        r"FrameworkMemory\.peakmem_framework\('pytorch'\)",
        r"StepMemory\.peakmem_step\('pytorch', 'inception_v3', 'default'\)",
    )
    chosen = [argument for name in benchmarks for argument in ("--bench", name)]
    asv.run("run", "-E", "existing", "--set-commit-hash", head, "--quick", *chosen)
    [file] = (asv.checkout / "results" / "asv").glob("*/*-existing-*.json")
    saved = json.loads(file.read_text())
    return {
        name: dict(zip(saved["result_columns"], columns, strict=False)) for name, columns in saved["results"].items()
    }


@pytest.mark.slow
def test_asv_measures_a_step_and_publishes_it(asv: Asv, measured: dict[str, dict[str, Any]]) -> None:
    result = measured["step.Step.time_step"]
    assert result["params"] == [
        ["'pytorch'", "'tensorflow'", "'jax'"], ["'xception'", "'inception_v3'"], ["'default'", "'tuned'"],
    ]
    selected = list(product(*result["params"])).index(("'pytorch'", "'inception_v3'", "'default'"))
    assert [i for i, seconds in enumerate(result["result"]) if math.isfinite(seconds or math.nan)] == [selected]
    assert result["result"][selected] > 0
    asv.run("publish")
    assert (asv.checkout / ".asv" / "html" / "index.html").is_file()


def test_asv_measures_the_peak_memory_of_a_step_and_of_the_framework_alone(measured: dict[str, dict[str, Any]]) -> None:
    figures = {name: [b for b in of["result"] if math.isfinite(b or math.nan)] for name, of in measured.items()}
    [alone], [with_step] = figures["step.FrameworkMemory.peakmem_framework"], figures["step.StepMemory.peakmem_step"]
    weights_bytes = 4 * 23_817_352
    assert 1e8 < alone < with_step - weights_bytes


@pytest.mark.slow
def test_the_wheel_that_asv_builds_works_outside_the_checkout(config: Config, tmp_path: Path) -> None:
    source, cache, env = tmp_path / "source", tmp_path / "cache", tmp_path / "env"
    for name in ("xibench", "frameworks", "dashboards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    [build], [install] = config.build_command, config.install_command
    # asv lets pip download hatchling for the build; the tests use the installed one and no network.
    pip(Path(sys.executable), build, "--no-build-isolation", build_cache_dir=cache, build_dir=source)
    [wheel] = cache.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    pip(env / "bin" / "python", install, "--no-index", env_dir=env, wheel_file=wheel)
    [packages] = env.glob("lib/*/site-packages")
    (packages / "numpy_and_safetensors.pth").write_text(sysconfig.get_path("purelib"))
    code = (
        "import frameworks; from frameworks.architectures import network; from frameworks.cost import cost\n"
        "print(frameworks.__file__, cost(network('xception')).macs)"
    )
    output = subprocess.check_output([env / "bin" / "python", "-c", code], cwd=tmp_path, text=True)
    assert output.split() == [str(packages / "frameworks" / "__init__.py"), "8357403496"]


def test_a_framework_that_is_not_installed_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SUITE.parent)
    from asv_suite.step import Step

    # Both places that hold a module are restored: without the attribute, later tests would find the one made here.
    monkeypatch.setattr(frameworks, "pytorch", importlib.import_module("frameworks.pytorch"))
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("frameworks.pytorch")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(NotImplementedError, match=r"pytorch: module 'torch' is not installed; pip install"):
        Step().setup("pytorch", "xception", "default")


def test_asv_creates_one_environment_per_framework(config: Config) -> None:
    environments = [{name for (kind, name) in e if kind == "req"} for e in iter_matrix("virtualenv", ["3.11"], config)]
    common = {"numpy", "safetensors", "msgspec"}
    assert sorted(map(sorted, environments)) == sorted(
        map(sorted, [{"torch", *common}, {"tensorflow", *common}, {"jax", "flax", *common}])
    )


def test_asv_installs_the_tested_versions(config: Config) -> None:
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    for name, versions in config.matrix["req"].items():
        assert [v for v in versions if v] == [tested[name]]


def test_the_folders_of_asv_are_the_documented_ones(config: Config) -> None:
    assert (config.results_dir, config.env_dir, config.html_dir) == ("results/asv", ".asv/env", ".asv/html")
    assert config.benchmark_dir == "benches/asv_suite"


def test_every_benchmark_has_an_explicit_version_so_that_edits_keep_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(SUITE.parent)
    from asv_suite import step

    suites: list[Any] = [value for value in vars(step).values() if isinstance(value, type)]
    assert suites
    for suite in suites:
        assert isinstance(suite.version, str)
        assert len(suite.params) == len(suite.param_names)


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
