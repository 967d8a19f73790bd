"""A compiler that is switched off from outside, or whose toolchain fails: what really ran is read back and reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from frameworks.api import Program
from frameworks.architectures import network
from frameworks.process import MIN_PROGRAMS_BYTES, programs_folder, unusable_for_programs
from tests.frameworks.programs import prepare, step

ROOT = Path(__file__).parents[2]
BUILT = network("xception", "narrow", resolution=75)
BATCH = np.zeros((1, 75, 75, 3), np.float32)
PROGRAM = """
import json, sys
from tests.frameworks.test_switched_off import report, stepped

print(json.dumps(report(stepped("pytorch", sys.argv[1]))))
"""
MOUNTED = """
import sys
from frameworks.process import unusable_for_programs

print(unusable_for_programs(sys.argv[1] + "/programs"))
"""


def stepped(framework: str, recipe: str) -> Program:
    program = prepare(framework, BUILT, recipe)
    step(program, BATCH)
    return program


def report(program: Program) -> dict[str, str | bool | int | float | None]:
    """What a program reads back about its compiler, and the one substitution."""
    readings = program.readings()
    (said,) = program.substitutions
    compiled = {name: readings.settings[name] for name in ("compiler", "compile_scope")}
    return {**compiled, "memory": readings.absent["compiled_temporary_bytes"], "wanted": said.wanted, "why": said.why}


def in_a_process(recipe: str, **variables: str) -> dict[str, str]:
    """The report of a program in PyTorch in a fresh process with these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, recipe], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def variable() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHDYNAMO_DISABLE", "1")
        yield


@contextmanager
def option() -> Iterator[None]:
    from torch import _dynamo as dynamo

    with dynamo.config.patch(disable=True):  # what TORCH_COMPILE_DISABLE=1 sets when torch is imported
        yield


@contextmanager
def stance() -> Iterator[None]:
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize(
    ("switch", "why"),
    [
        (variable, "TORCHDYNAMO_DISABLE=1 switches it off; unset it"),
        (option, "torch._dynamo.config.disable switches it off"),
        (stance, "torch.compiler.set_stance switches it off"),
    ],
)
@pytest.mark.parametrize("recipe", ["compiled", "tuned"])
def test_torch_compile_that_is_switched_off_is_reported_as_eager(
    switch: Callable[[], Iterator[None]], why: str, recipe: str
) -> None:
    with switch():  # type: ignore[attr-defined]
        found = report(stepped("pytorch", recipe))
    assert found == {
        "compiler": "none", "compile_scope": "none", "memory": "nothing is compiled", "wanted": "torch.compile",
        "why": why,
    }  # fmt: skip


def test_before_the_first_step_nothing_is_said_about_what_ran() -> None:
    with variable():
        program = prepare("pytorch", BUILT, "compiled")
        assert program.substitutions == ()
        assert program.readings().absent["compile_scope"] == "no step has been synchronised yet"


@pytest.mark.slow
def test_jax_jit_that_is_switched_off_is_reported() -> None:
    import jax

    with jax.disable_jit():
        found = report(stepped("jax", "default"))
    assert (found["compiler"], found["compile_scope"], found["wanted"]) == ("none", "none", "jax.jit")
    assert found["why"] == "jax_disable_jit switches it off; unset JAX_DISABLE_JIT"


def test_a_traced_graph_of_ours_stays_one_where_tensorflow_runs_functions_eagerly() -> None:
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        program = prepare("tensorflow", BUILT)
        assert report(program) == {
            "compiler": "none", "compile_scope": "none", "memory": "nothing is compiled", "wanted": "tf.function",
            "why": "tf.config.run_functions_eagerly switches it off",
        }  # fmt: skip
        step(program, BATCH)
        assert (program.readings().settings["compile_scope"], program.substitutions) == ("forward", ())
    finally:
        tf.config.run_functions_eagerly(False)


def test_tensorflow_does_not_call_clusters_of_xla_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit")
    readings = prepare("tensorflow", BUILT).readings()
    assert readings.settings["compiler"] is None
    assert "clusters" in readings.absent["compiler"]


@pytest.mark.slow
def test_a_compiler_that_fails_in_the_first_step_leaves_an_eager_step_with_the_reason_and_the_cure(
    tmp_path: Path
) -> None:
    # A program that is there and is no compiler.
    found = in_a_process("compiled", CXX="false", TORCHINDUCTOR_CACHE_DIR=str(tmp_path))
    assert (found["compiler"], found["compile_scope"], found["wanted"]) == ("none", "none", "torch.compile")
    assert "CXX" in found["why"]
    assert "\n" not in found["why"]


@pytest.mark.slow
def test_an_error_that_pytorch_is_told_to_hide_is_reported(tmp_path: Path) -> None:
    hidden = {"CXX": "false", "TORCHDYNAMO_SUPPRESS_ERRORS": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    found = in_a_process("compiled", **hidden)
    # A graph that only calls the library needs no C++ compiler: that part is compiled, and the record says so.
    assert found["compile_scope"].startswith("parts of forward (")
    assert (found["wanted"], found["memory"]) == ("torch.compile", "only parts of the network are compiled")
    assert "TORCHDYNAMO_SUPPRESS_ERRORS" in found["why"]


@pytest.mark.slow
def test_pytorch_below_a_path_with_a_space_compiles(tmp_path: Path) -> None:
    """Its libraries are in the virtual environment, which is below the checkout."""
    (tmp_path / "my projects").mkdir()
    (tmp_path / "my projects" / "venv").symlink_to(sys.prefix)
    code = (
        "from tests.frameworks.test_switched_off import stepped; p = stepped('pytorch', 'compiled'); "
        "import torch; print(torch.__file__, p.substitutions, p.readings().settings['compiler'])"
    )
    done = subprocess.run(
        [str(tmp_path / "my projects" / "venv" / "bin" / "python"), "-c", code], cwd=ROOT, capture_output=True,
        text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cold")},
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert "my projects" in last
    assert last.endswith("() inductor")


@pytest.mark.parametrize("name", ["a b", "it's", 'a"b', "a\\b", "a\tb"])
def test_a_folder_whose_path_needs_quotes_is_not_used_for_programs(name: str, tmp_path: Path) -> None:
    assert unusable_for_programs(str(tmp_path / "plain")) is None
    assert unusable_for_programs(str(tmp_path / "één")) is None
    assert unusable_for_programs(str(tmp_path / name)) == "its path has a space, a quotation mark or a backslash"


def test_programs_go_to_the_first_folder_that_can_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert programs_folder() == str(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a b"))
    assert unusable_for_programs(programs_folder()) is None
    monkeypatch.setattr("frameworks.process.unusable_for_programs", lambda folder: "it is mounted noexec")
    assert programs_folder() == str(tmp_path / "a b")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("noexec", "it is mounted noexec"), ("ro", "it cannot be written"),
        ("size=1m", f"it has 1 MiB free, expected at least {MIN_PROGRAMS_BYTES >> 20} MiB"),
    ],
)  # fmt: skip
def test_a_mount_that_cannot_have_programs_is_told_by_its_options(options: str, why: str, tmp_path: Path) -> None:
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o "$1" tmpfs "$0" && exec "$2" -c "$3" "$0"']
    done = subprocess.run(
        [*mount, str(tmp_path), options, sys.executable, MOUNTED], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("mounts take a mount namespace")
    assert done.stdout.strip() == why, done.stderr
