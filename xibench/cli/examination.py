"""What `xibench doctor` finds out: what is there, what lacks, what will be skipped for it, and the cure.

No framework is imported here: each is asked in a short process of the interpreter that would run it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from xibench.record.schema import Environment

LEAST_DISK_BYTES = 1 << 30  # weights, batches and compiler caches of a run fit into this
BF16_FLAGS = ("amx_bf16", "avx512_bf16")


class FrameworkState(msgspec.Struct, frozen=True, kw_only=True):
    """One framework as its own interpreter reports it."""

    name: str
    interpreter: str  # the Python that its workers run in
    versions: dict[str, str | None]  # distribution -> version; null: not installed there
    devices: list[str]  # cpu, cuda
    recipes: dict[str, list[tuple[str, str]]]  # on the best of them: name -> settings, each with its reason
    problem: str | None  # one line; null when it works


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the machine, for reading."""

    name: str
    value: str


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is missing or disturbs, what will be skipped or worse for it, and what to do."""

    what: str
    effect: str
    cure: str


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All that `xibench doctor` says."""

    frameworks: list[FrameworkState]
    facts: list[Fact]
    lacks: list[Lack]


def examine() -> Examination:
    """Looks at the frameworks and at the machine. Takes as long as the slowest framework's import."""
    from frameworks.runtime import FRAMEWORKS, inductor_lacks
    from xibench.record.environment import read

    environment = read()
    load = os.getloadavg()  # before the frameworks are started, which is load of our own
    with ThreadPoolExecutor() as pool:
        states = list(pool.map(ask_framework, FRAMEWORKS))
    photographs, no_photographs = _photographs()
    return Examination(
        frameworks=states,
        facts=[*_facts(environment, load), Fact(name="photographs", value=photographs)],
        lacks=[
            *(lack for state in states for lack in framework_lacks(state, bool(environment.gpus))),
            *machine_lacks(environment, inductor_lacks(), load[0], shutil.disk_usage(".").free),
            *no_photographs,
        ],
    )


def ask_framework(name: str) -> FrameworkState:
    """Starts the framework in its own interpreter and asks for its versions and devices."""
    from xibench.run.interpreters import interpreter
    from xibench.run.probe import probe

    told = probe(name)
    problem = " ".join(told.problem.split()) if told.problem else None
    return FrameworkState(
        name=name, interpreter=interpreter(name), versions=told.versions, devices=told.devices, recipes=told.recipes,
        problem=problem,
    )


def machine_lacks(environment: Environment, inductor: str | None, load: float, free_bytes: int) -> list[Lack]:
    """What the machine lacks or what disturbs it.

    inductor: why TorchInductor cannot compile for the CPU; None if it can. load: runnable processes over the last
    minute.
    """
    lacks = []
    if inductor is not None:
        lacks.append(Lack(
            what=inductor,
            effect="PyTorch's `compiled` recipe runs eagerly on the CPU and the record says so",
            cure="install it, or name a compiler in CXX",
        ))
    if not set(BF16_FLAGS) & set(environment.cpu_flags):
        lacks.append(Lack(
            what="CPU without " + " or ".join(BF16_FLAGS),
            effect="bf16 on the CPU is emulated: its times say little about bf16 elsewhere",
            cure="measure bf16 on a CPU that has one of them, or on a GPU",
        ))
    if not environment.gpus:
        lacks.append(Lack(
            what=environment.absent.get("gpus", "no GPU: NVML reports none"),
            effect="every case runs on the CPU; columns of the GPU stay empty",
            cure="nothing to do, unless there is an NVIDIA card: then install its driver",
        ))
    if load > 0.25 * environment.cores_usable:
        lacks.append(Lack(
            what=f"load average {load:.2f} on {environment.cores_usable} cores",
            effect="other programs take time from what is measured: slower steps, wider intervals",
            cure="stop them, or wait until the load is near 0",
        ))
    if free_bytes < LEAST_DISK_BYTES:
        lacks.append(Lack(
            what=f"{free_bytes >> 20} MiB free on disk",
            effect="a run may end with a disk that is full; what was written by then stays valid",
            cure=f"free at least {LEAST_DISK_BYTES >> 20} MiB",
        ))
    return lacks


def framework_lacks(state: FrameworkState, has_gpu: bool) -> Sequence[Lack]:
    """What a framework lacks: itself, or the card that the machine has."""
    from frameworks.runtime import FRAMEWORKS

    if state.problem:
        return [Lack(
            what=state.problem,
            effect="its cases are recorded as unsupported, the rest runs",
            cure=FRAMEWORKS[state.name].install,
        )]
    if has_gpu and "cuda" not in state.devices:
        return [Lack(
            what=f"{state.name} sees no GPU, though there is one",
            effect="its cases on cuda are recorded as unsupported",
            cure=f"install a CUDA build of {FRAMEWORKS[state.name].module} in .venvs/{state.name}",
        )]
    return []


def _facts(environment: Environment, load: tuple[float, float, float]) -> list[Fact]:
    from xibench.cli.format import size

    bf16 = [flag for flag in BF16_FLAGS if flag in environment.cpu_flags]
    gpus = "; ".join(f"{gpu.name}, {size(gpu.memory_bytes)}, driver {gpu.driver}" for gpu in environment.gpus)
    values = {
        "python": environment.python,
        "system": f"{environment.os}, kernel {environment.kernel}",
        "CPU": environment.cpu_model,
        "cores": f"{environment.cores_usable} usable of {environment.cores_logical} logical",
        "bf16 on the CPU": ", ".join(bf16) or "emulated",
        "memory": size(environment.memory_bytes),
        "GPU": gpus or environment.absent.get("gpus", "none"),
        "load average": ", ".join(f"{value:.2f}" for value in load),
        "disk free here": size(shutil.disk_usage(".").free),
    }
    return [Fact(name=name, value=value) for name, value in values.items()]


def _photographs() -> tuple[str, list[Lack]]:
    from xibench.errors import InputError
    from xibench.run.inputs import pictures

    try:
        return ", ".join(pictures("sample", 1).files), []
    except InputError as error:
        return "none", [Lack(
            what=str(error),
            effect="`--images sample`, the default, cannot be used",
            cure="`pip install scikit-learn`, or name a folder of your own with `--images DIR`",
        )]
