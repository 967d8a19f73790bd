"""Settings that bear on a comparison, under names that are the same in every framework.

A framework reads each setting back as a value, or as `Absent` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

SettingValue = str | int | float | bool | None

MANIFEST: Final[Mapping[str, str]] = {
    "layout": "axis order of activations in memory: NCHW or NHWC",
    "compiler": "what compiles the graph: inductor, xla, or none",
    "compile_scope": "what one compiled or traced graph holds: forward, forward in N graphs, or none",
    "batch_norm_folded": "whether batch norm is folded into the convolutions before it",
    "kernel_dtype": "dtype of a convolution's kernel",
    "output_dtype": "dtype of the logits as a step returns them",
    "output_device": "where the logits lie when a step returns: cpu or cuda",
    "results_copied_to_host": "whether a step copies its results from another device to the host",
    "tf32": "whether float32 products may run in TF32",
    "matmul_precision": "what float32 products are asked for: highest, high, default",
    "autotuning": "whether algorithms or kernels are picked by timing them",
    "graphs": "whether steps are replayed as CUDA graphs",
    "onednn": "whether oneDNN computes convolutions and products",
    "amx": "whether the CPU's matrix unit (AMX) can be used",
    "threads": "threads within an operation",
    "interop_threads": "threads for independent operations",
    "memory_kept": "whether large arrays stay with the process when they are freed",
    "donated_buffers": "whether a step may write into its arguments' memory",
    "compilation_cache": "what compiled programs a disk cache gave: off, cold (none), warm (some)",
    "preallocation": "whether the framework took most of the device's memory when it began",
}
"""Every framework's settings have these names, whatever else they have."""


@dataclass(frozen=True, slots=True)
class Absent:
    """What could not be read, or does not exist here; `why` in one line."""

    why: str


@dataclass(frozen=True, slots=True)
class CompiledMemory:
    """Memory of one compiled step as the compiler planned it. None: it does not say; `Readings.absent` has the reason.

    temporary: scratch. argument: parameters and batch. output: the logits. code: the program.
    """

    temporary_bytes: int | None = None
    argument_bytes: int | None = None
    output_bytes: int | None = None
    code_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The framework's own counters for the device since `reset_device_memory`. None: it has no such counter."""

    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


@dataclass(frozen=True, slots=True)
class Substitution:
    """What a recipe or precision asked for, why the machine could not give it, and what ran instead."""

    wanted: str
    why: str
    ran: str


@dataclass(frozen=True, slots=True)
class Readings:
    """What a program read back from its framework.

    settings: every name of MANIFEST, and more that only this framework has. compiled: what the compiler planned.
    absent: why a figure is None, by its name: each setting, each figure of `compiled` (`compiled_temporary_bytes`, …),
    and `device_steps_s` where there is no clock on the device.
    """

    settings: dict[str, SettingValue]
    compiled: CompiledMemory
    absent: dict[str, str]


T = TypeVar("T", bound=SettingValue)
Reading = SettingValue | Absent
"""A setting as a framework read it back."""

NOT_ON_GPU: Final = Absent("the case runs on a GPU")
NOT_PUT: Final = Absent("no batch has been put on the device yet")
NO_BATCH_NORM: Final = Absent("the network has no batch norm")
NOT_STEPPED: Final = Absent("no step has been synchronised yet")
NOT_COMPILED: Final = Absent("nothing is compiled")
NO_GRAPHS_ON_CPU: Final = Absent("CUDA graphs exist on a CUDA device only")
NO_PREALLOCATION: Final = Absent("a host's memory is not preallocated")


def present(readings: Mapping[str, T | Absent]) -> dict[str, T | None]:
    """The values by name, None where there is none."""
    return {name: None if isinstance(reading, Absent) else reading for name, reading in readings.items()}


def reasons(readings: Mapping[str, T | Absent]) -> dict[str, str]:
    """Why there is no value, by name; names that have one are left out."""
    return {name: reading.why for name, reading in readings.items() if isinstance(reading, Absent)}


def collect(
    settings: Mapping[str, Reading], compiled: Mapping[str, int | Absent], no_device_clock: Absent | None
) -> Readings:
    """Readings from what was read, value or reason, by name.

    compiled: named as in a record: `compiled_temporary_bytes`, `compiled_argument_bytes`, …
    no_device_clock: why steps are not timed on the device's own clock; None where they are.
    """
    figures = {name.removeprefix("compiled_"): value for name, value in present(compiled).items()}
    clock = {} if no_device_clock is None else reasons({"device_steps_s": no_device_clock})
    return Readings(present(settings), CompiledMemory(**figures), reasons(settings) | reasons(compiled) | clock)


def nothing_compiled() -> dict[str, int | Absent]:
    """The readings of compiled memory where a step is not compiled."""
    return dict.fromkeys(
        ("compiled_temporary_bytes", "compiled_argument_bytes", "compiled_output_bytes", "compiled_code_bytes"),
        NOT_COMPILED,
    )


def usable_amx(flags: frozenset[str], library: str) -> bool | Absent:
    """False where the CPU has no AMX; else the library alone knows. flags: the CPU's, as Linux lists them."""
    if not flags:
        return Absent("the CPU's feature flags cannot be read")
    if not any(flag.startswith("amx") for flag in flags):
        return False
    return Absent(f"the CPU has AMX, and {library} does not tell whether it uses it")
