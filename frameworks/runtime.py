"""The protocol that a framework fulfils, so that one loop can step any of them.

A framework is a folder `frameworks/<name>/` whose `runtime.py` is a `Runtime`. A worker process imports exactly one;
nothing else in the product knows a framework by more than its name.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from frameworks.blueprint import Network
from frameworks.errors import MissingFramework, UnknownName
from frameworks.manifest import MANIFEST as MANIFEST
from frameworks.manifest import CompiledMemory as CompiledMemory
from frameworks.manifest import Setting as Setting
from frameworks.precision import PRECISIONS as PRECISIONS
from frameworks.precision import Precision as Precision
from frameworks.recipes import RECIPES as RECIPES
from frameworks.recipes import Recipe as Recipe
from frameworks.third_party import CONTENDERS
from frameworks.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEVICES: Final = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Installation:
    """How a framework is had.

    module: its absence means that the framework is missing. distributions: their versions go into records.
    install: the command that installs it.
    """

    module: str
    distributions: tuple[str, ...]
    install: str


FRAMEWORKS: Final[Mapping[str, Installation]] = {
    "pytorch": Installation("torch", ("torch",), "pip install 'xibench[pytorch]'"),
    "tensorflow": Installation("tensorflow", ("tensorflow",), "pip install 'xibench[tensorflow]'"),
    "jax": Installation("jax", ("jax", "jaxlib", "flax"), "pip install 'xibench[jax]'"),
}

IMPLEMENTATIONS: Final = (*FRAMEWORKS, *CONTENDERS)
"""What a case may name as its framework: ours, then those by other hands."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """What a recipe or precision asked for, why the machine could not give it, and what ran instead."""

    wanted: str
    why: str
    ran: str


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The framework's own counters for the device since `reset_device_memory`. None: it has no such counter."""

    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


class Subject(Protocol):
    """One network on one device, ready to be stepped.

    Batches come in as float32 arrays of shape (batch, height, width, channels), pictures scaled to -1..1; outputs are
    logits of shape (batch, classes), or an operator's (batch, height, width, features). What lies between is the
    framework's own.
    """

    substitutions: tuple[Substitution, ...]

    def put(self, batch: NDArray[np.float32]) -> Any:
        """The batch on the device, in the precision and layout that the network takes. Not part of a step."""

    def compile(self, batch: Any) -> bool:
        """Compiles ahead of the first step where the framework can; False if that is part of the first step."""

    def step(self, batch: Any) -> Any:
        """One forward pass. May return before the device has finished."""

    def synchronise(self, output: Any) -> None:
        """Returns when `output` has been computed."""

    def fetch(self, output: Any) -> NDArray[np.floating[Any]]:
        """The output on the host, as float32 (float64 for fp64); NHWC where it has height and width."""

    def settings(self) -> dict[str, Setting]:
        """Settings that bear on speed or result, read back from the framework, not assumed.

        Every name of MANIFEST is there, and more that only this framework has. What cannot be read, or does not exist
        here, is None, and `absent` says why. Complete once a step has been synchronised.
        Reading them may take seconds: call it when nothing is timed any more, as also `absent`, `compiled_memory`.
        """

    def absent(self) -> dict[str, str]:
        """Why a figure is None, by its name: each setting that is None, each figure of `compiled_memory`
        (`compiled_temporary_bytes`, …), and `device_steps_s` where `device_step_s` is None.
        """

    def query(self, batch: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Put, step, synchronise, fetch: from images on the host to their logits on the host."""

    def device_step_s(self) -> float | None:
        """Seconds of the last synchronised step on the device's own clock; None where there is no such clock."""

    def compiled_memory(self) -> CompiledMemory:
        """What the compiler planned for the step; known once one has been synchronised."""

    def reset_device_memory(self) -> None:
        """Starts the device's high-water marks anew."""

    def device_memory(self) -> DeviceMemory | None:
        """Peak device memory since the reset; None on a CPU."""


class Runtime(Protocol):
    """What `frameworks/<name>/runtime.py` offers."""

    def touch(self, device: str) -> str:
        """Initialises the device and returns its name. Raises Unsupported if the framework does not see it."""

    def devices(self) -> tuple[str, ...]:
        """The devices that this framework sees: "cpu", and "cuda" where there is a usable GPU."""

    def prepare(self, network: Network, weights: Weights, recipe: str, precision: str, device: str) -> Subject:
        """Builds the network with these weights as the recipe says.

        Raises Unsupported with the reason if this framework or machine cannot.
        """

    def recipe(self, name: str, device: str) -> Recipe:
        """The settings that a recipe stands for on a device."""

    def product(self, n: int, precision: Precision, device: str) -> Callable[[], Any]:
        """A call that multiplies two n x n matrices on the device and comes back when it has: 2 n^3 FLOPs.

        Operands are resident, settings those of a case in this precision. The first call may compile.
        Raises Unsupported if the framework does not see the device.
        """

    def copy(self, size_bytes: int, device: str) -> Callable[[], Any]:
        """A call that copies an array of that size within the device's memory and comes back when it has.

        It reads and writes size_bytes each. The first call may compile.
        Raises Unsupported if the framework does not see the device.
        """

    def count_flops(self, network: Network, weights: Weights, batch: int) -> float | None:
        """FLOPs of a forward pass in fp32 on the CPU as the framework's own counter has it; None without a counter.

        What each counter takes for a FLOP is told in docs/costs.md and held by `xibench.analysis.counters`.
        """

    def outputs(
        self,
        network: Network,
        weights: Weights,
        precision: Precision,
        batch: NDArray[np.floating[Any]],
        masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
        given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    ) -> dict[str, NDArray[np.floating[Any]]]:
        """One forward pass on the CPU for `verify`: every block's output by name, in NHWC, the logits last.

        masks: None for inference; for a training-mode pass (batch statistics, dropout, the auxiliary classifier) what
        each dropout layer keeps, by its path, of shape (batch, features). The running statistics after that pass are
        then in the result, too.
        given: for some blocks, what goes on from there to the next block instead of its own output.
        """


def framework_of(name: str) -> str:
    """The framework that an implementation runs on: its own name, unless it is a contender."""
    return CONTENDERS[name].framework if name in CONTENDERS else name


def distributions(name: str) -> tuple[str, ...]:
    """The distributions whose versions an implementation's records tell: a framework's, and the contender's own."""
    own = (CONTENDERS[name].distribution,) if name in CONTENDERS else ()
    return (*FRAMEWORKS[framework_of(name)].distributions, *own)


def load(name: str) -> Runtime:
    """Imports one framework, or a contender and the framework that it runs on.

    Raises UnknownName, or MissingFramework with the command that installs it.
    """
    if name not in IMPLEMENTATIONS:
        raise UnknownName("framework", name, IMPLEMENTATIONS)
    contender = CONTENDERS.get(name)
    module = f"frameworks.third_party.{contender.file}" if contender else f"frameworks.{name}.runtime"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("frameworks"):
            raise
        cure = FRAMEWORKS[framework_of(name)].install
        raise MissingFramework(f"{name}: module '{error.name}' is not installed; {cure}") from error


def synchronised_step(subject: Subject, batch: Any) -> Any:
    """One forward pass, back when the device has finished: the step that the suites time, as the instrument does."""
    output = subject.step(batch)
    subject.synchronise(output)
    return output


def square_operands(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two n x n matrices of the same numbers for every framework: what a product is fed with bears on a GPU's clock."""
    import numpy as np

    values = np.random.default_rng(0).uniform(-1, 1, (2, n, n)).astype(np.float32)
    return values[0], values[1]


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux lists them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
    except OSError:
        return frozenset()


def cpu_name() -> str:
    """The CPU's model name as Linux gives it, or the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def inductor_lacks() -> str | None:
    """Why TorchInductor cannot generate code for a CPU here, with the cure; None if it can.

    It starts $CXX or g++, and what it generates includes Python.h.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"TorchInductor needs a C++ compiler, {compiler} was not found (apt install g++)"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "TorchInductor needs Python.h, this Python comes without it (apt install python3-dev)"
    return None


def bf16_on_cpu(library: str, precision: str, device: str) -> tuple[Substitution, ...]:
    """What a bf16 case on a CPU runs on where that has no matrix unit for it; empty where it has one (AMX).

    library: what computes convolutions, such as oneDNN or XLA.
    """
    flags = cpu_flags()
    if precision != "bf16" or device != "cpu" or "amx_bf16" in flags:
        return ()
    best = "avx512_bf16 instructions at best" if "avx512_bf16" in flags else "conversions to float32"
    return (Substitution("a matrix unit for bf16", "this CPU has no amx_bf16", f"{library} with {best}"),)
