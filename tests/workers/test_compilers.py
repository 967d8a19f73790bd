"""Compilers in real workers: every process compiles anew, and one that did not compile says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.pytorch.settings import EMPTY_KERNEL
from tests.cli.command import ROOT, xibench_process
from xibench.record.environment import speed_variables
from xibench.record.schema import Process
from xibench.record.store import read
from xibench.workers import session

OPERATOR = ("--operator", "separable", "--variant", "channels=8+features=8", "--resolution", "8")
XCEPTION = ("-m", "xception", "--variant", "narrow", "--resolution", "75", "--min-steps", "3")
REENABLED = """
import os
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "true"  # in a worker, after xibench has switched it off
"""


def processes(folder: Path, *arguments: str, **variables: str) -> list[Process]:
    """The processes of the one case of a run."""
    quickly = ("--batch", "1", "--images", "noise", "--no-ceilings", "--repeats", "0", "--out", "run.jsonl")
    done = xibench_process("run", *arguments, *quickly, cwd=folder, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = read(folder / "run.jsonl").records
    return record.processes


def jax_cache(folder: Path) -> dict[str, str]:
    """Variables with which JAX keeps every program that it compiles, in `folder`."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }  # fmt: skip


@pytest.mark.slow
def test_every_process_of_scenario_compile_compiles_although_jax_has_a_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    asked = ("-f", "jax", *OPERATOR, "--scenario", "compile", "--processes", "2")
    measured = processes(tmp_path, *asked, **jax_cache(cache))
    assert [p.settings["compilation_cache"] for p in measured] == ["off", "off"]
    assert [p.substitutions for p in measured] == [[], []]
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_a_program_that_comes_from_a_cache_all_the_same_is_marked(tmp_path: Path) -> None:
    (tmp_path / "reenabled.py").write_text(REENABLED)
    variables = jax_cache(tmp_path / "cache") | {
        "XIBENCH_PLUGINS": "reenabled", "PYTHONPATH": os.pathsep.join([str(session.ROOT), str(tmp_path)]),
    }  # fmt: skip
    asked = ("-f", "jax", *OPERATOR, "--scenario", "compile", "--processes", "2")
    cold, warm = processes(tmp_path, *asked, **variables)
    assert [p.settings["compilation_cache"] for p in (cold, warm)] == ["cold", "warm"]
    assert [s.wanted for s in cold.substitutions + warm.substitutions] == ["compilation in this process"]
    assert "†" in xibench_process("show", "run.jsonl", cwd=tmp_path).stdout


@pytest.mark.slow
def test_xla_in_tensorflow_compiles_although_it_has_a_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    asked = ("-f", "tensorflow", *OPERATOR, "--recipe", "compiled", "--min-steps", "3")
    (measured,) = processes(tmp_path, *asked, TF_XLA_FLAGS=f"--tf_xla_persistent_cache_directory={cache}")
    assert measured.settings["compilation_cache"] == "off"
    assert list(cache.iterdir()) == []


def test_what_compilers_keep_is_in_a_folder_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = (
        "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "PYTORCH_KERNEL_CACHE_PATH",
        "PYTORCH_TUNABLEOP_FILENAME",
    )  # fmt: skip
    remote = ("TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE", "TORCHINDUCTOR_AUTOTUNE_REMOTE_CACHE")
    for name in shared:
        monkeypatch.setenv(name, "/shared")
    for name in remote:
        monkeypatch.setenv(name, "1")
    variables = session.worker_environment(tmp_path / "0")
    assert all(Path(variables[name]).is_relative_to(tmp_path / "0") for name in (*shared, "TMPDIR"))
    assert [variables[name] for name in remote] == ["0", "0"]
    assert speed_variables(dict.fromkeys((*shared, *remote, "JAX_COMPILATION_CACHE_DIR"), "/shared")) == {}


@pytest.mark.parametrize("from_file", [False, True])
def test_options_of_xla_that_name_a_cache_do_not_reach_a_worker(
    from_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "XLA_FLAGS": "--a=1 --xla_gpu_per_fusion_autotune_cache_dir=/c --xla_gpu_kernel_cache_file=/k --b=2",
        "TF_XLA_FLAGS": "--tf_xla_persistent_cache_directory=/c --tf_xla_persistent_cache_prefix=p --c=3",
    }
    for name, options in given.items():
        (tmp_path / name).write_text(options.replace(" ", "\n"))
        monkeypatch.setenv(name, str(tmp_path / name) if from_file else options)
    variables = session.worker_environment()
    assert (variables["XLA_FLAGS"], variables["TF_XLA_FLAGS"]) == ("--a=1 --b=2", "--c=3")


def test_options_of_xla_without_a_cache_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flags").write_text("--a=1\n")
    for value in ("--a=1  --b=2", str(tmp_path / "flags"), "no such file", ""):
        monkeypatch.setenv("XLA_FLAGS", value)
        assert session.worker_environment()["XLA_FLAGS"] == value


@pytest.mark.slow
def test_a_worker_in_which_torch_compile_is_switched_off_is_marked(tmp_path: Path) -> None:
    (measured,) = processes(tmp_path, "-f", "pytorch", *XCEPTION, "--recipe", "tuned", TORCH_COMPILE_DISABLE="1")
    (said,) = measured.substitutions
    assert (said.wanted, said.ran) == ("torch.compile", "eager")
    assert said.why == "TORCH_COMPILE_DISABLE=1 switches it off; unset it"
    assert (measured.settings["compiler"], measured.settings["compile_scope"]) == ("none", "none")
    assert measured.settings["denormals"] == "flushed"


@pytest.mark.slow
def test_a_folder_for_temporary_files_with_a_space_does_not_keep_pytorch_from_compiling(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    asked = ("-f", "pytorch", *XCEPTION, "--recipe", "compiled")
    (measured,) = processes(tmp_path, *asked, TMPDIR=str(tmp_path / "a b"))
    assert measured.substitutions == []
    assert (measured.settings["compiler"], measured.settings["compilation_cache"]) == ("inductor", "cold")
    assert list((tmp_path / "a b").iterdir()) == []


COMPILES_TWICE = """
import torch
from frameworks.pytorch.program import compiled
for size in 8, 9:
    network = torch.nn.Sequential(torch.nn.Linear(size, size), torch.nn.Softmax(1))
    call, compilation, missing = compiled(network, "cpu")
    call(torch.ones(2, size))
    assert (compilation.readings().scope, missing) == ("forward", ())
"""


@pytest.mark.slow
def test_a_process_precompiles_one_header_for_all_kernels_in_its_folder(tmp_path: Path) -> None:
    """The empty kernel that has it compiled early has the flags of all others; else there would be two headers."""
    variables = session.worker_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", COMPILES_TWICE], env=variables, check=True)
    assert len(list(tmp_path.rglob("precompiled_headers/*.gch"))) == 1
    assert sum(b"kernel(const float* in_ptr0" in path.read_bytes() for path in tmp_path.rglob("*.cpp")) >= 2
    assert sum(EMPTY_KERNEL.encode() in path.read_bytes() for path in tmp_path.rglob("*.cpp")) == 1


FIRST_CALL = """
import sys, threading, types
import frameworks.pytorch.program
from frameworks.api import load
from frameworks.architectures import network
from frameworks.blueprint import GlobalAveragePool
from frameworks.task import INFER, Batch
from frameworks.weights import resolve
from xibench.run import plan
import numpy as np
model, variant, pixels = sys.argv[1], sys.argv[2], int(sys.argv[3])
if "mistaken" in sys.argv:  # a network that is taken for one with kernels
    frameworks.pytorch.program.infer_shapes = lambda network: [types.SimpleNamespace(layer=GlobalAveragePool("mean"))]
kind = {"frameworks": ("pytorch",), "models": (model,), "variants": (variant,), "recipes": ("tuned",), "device": "cpu"}
case, = plan.cases(plan.Selection(**kind, batches=(1,), resolutions=(pixels,)))
blueprint = network(model, variant, resolution=pixels)
program = load("pytorch").prepare(blueprint, resolve(blueprint, 0), plan.execution(case), INFER)
placed = program.put(Batch(np.ones((1, *blueprint.input_shape), np.float32)))
print(*(thread.name for thread in threading.enumerate() if "header" in thread.name))
program.step(placed)
print(*(thread.name for thread in threading.enumerate() if "header" in thread.name))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "header"),
    [
        (("separable", "channels=8+features=8", "8"), ""),
        (("separable", "channels=8+features=8", "8", "mistaken"), "precompiled header"),
        (("xception", "narrow", "75"), "precompiled header"),
    ],
)
def test_no_step_runs_beside_the_compiler_of_the_header(case: tuple[str, ...], header: str, tmp_path: Path) -> None:
    variables = session.worker_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FIRST_CALL, *case]
    done = subprocess.run(command, env=variables, check=True, text=True, stdout=subprocess.PIPE)
    assert done.stdout.split("\n")[:2] == [header, ""]


@pytest.mark.slow
def test_a_run_leaves_nothing_of_its_compilers_behind(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    asked = ("-f", "pytorch,tensorflow,jax", *XCEPTION, "--recipe", "tuned", "--no-ceilings", "--out", "run.jsonl")
    variables = {"TMPDIR": str(tmp_path / "scratch")}
    done = xibench_process("run", *asked, "--batch", "1", "--repeats", "0", cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [path.name for path in (tmp_path / "scratch").iterdir()]
    assert [name for name in left if not name.startswith("__autograph_generated_file")] == []
