"""Settings that affect performance, under the same names in every framework.

Each setting is read back from the framework as a value, or as `Absent` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

SettingValue = str | int | float | bool | None

MANIFEST: Final[Mapping[str, str]] = {
    "layout": "axis order of activations in memory: NCHW or NHWC",
    "compiler": "what compiles the graph: inductor, xla, or none",
    "compile_scope": "what one compiled or traced graph holds: forward, forward in N graphs, parts of forward, or none",
    "batch_norm_folded": "whether batch norm is folded into the convolutions before it",
    "kernel_dtype": "dtype of a convolution's kernel",
    "output_dtype": "dtype of the logits as a step returns them",
    "output_device": "device of the logits that a step returns: cpu or cuda",
    "results_copied_to_host": "whether a step copies its results from another device to the host",
    "tf32": "whether float32 matmuls may run in TF32",
    "matmul_precision": "requested precision of float32 matmuls: highest, high, default",
    "denormals": "what arithmetic does with denormal numbers: kept, or flushed to zero",
    "rounding": "rounding mode of arithmetic: nearest, up, down, or toward zero",
    "autotuning": "whether algorithms or kernels are chosen by timing them",
    "graphs": "whether steps are replayed as CUDA graphs",
    "onednn": "whether oneDNN computes convolutions and matmuls",
    "amx": "whether the CPU's matrix unit (AMX) can be used",
    "threads": "threads within an operation",
    "interop_threads": "threads for independent operations",
    "memory_kept": "whether the memory of large arrays stays with the process when they are freed",
    "donated_buffers": "whether a step may overwrite its arguments' memory",
    "compilation_cache": "whether compiled programs came from a disk cache: off, cold (none), warm (some)",
    "preallocation": "whether the framework reserved most of the device's memory at the start",
}
"""Every framework reads back settings of these names; it may have others as well."""


class Absent(msgspec.Struct, frozen=True):
    """A value that cannot be read or does not exist here; `why`: the reason in one line."""

    why: str


class CompiledMemory(msgspec.Struct, frozen=True):
    """Memory of one compiled step, as planned by the compiler, in bytes.

    temporary: scratch. argument: parameters and batch. output: the logits. code: the program.
    None: the compiler does not report it; `Readings.absent` has the reason.
    """

    temporary_bytes: int | None = None
    argument_bytes: int | None = None
    output_bytes: int | None = None
    code_bytes: int | None = None


class DeviceMemory(msgspec.Struct, frozen=True):
    """Peaks of the framework's own memory counters since `reset_device_memory`; None where it has no such counter."""

    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


class Substitution(msgspec.Struct, frozen=True):
    """Something that a recipe or precision asks for and that is unavailable here.

    wanted: what is asked for. why: why it is unavailable. ran: what ran instead.
    """

    wanted: str
    why: str
    ran: str


class Readings(msgspec.Struct, frozen=True):
    """What a program reads back from its framework.

    settings: every name of MANIFEST, and those that only this framework has. compiled: memory of the compiled step.
    absent: by name, why a value is None: for settings, for figures of `compiled` (`compiled_temporary_bytes`, …), and
    for `device_steps_s` where the device has no clock.
    """

    settings: dict[str, SettingValue]
    compiled: CompiledMemory
    absent: dict[str, str]


Reading = SettingValue | Absent
"""A setting as read back from a framework."""

NOT_ON_GPU: Final = Absent("the case runs on a GPU")
NOT_PUT: Final = Absent("no batch has been put on the device yet")
NO_BATCH_NORM: Final = Absent("the network has no batch norm")
NOT_STEPPED: Final = Absent("no step has been synchronised yet")
NOT_COMPILED: Final = Absent("nothing is compiled")
NO_GRAPHS_ON_CPU: Final = Absent("CUDA graphs exist on a CUDA device only")
NO_PREALLOCATION: Final = Absent("host memory is not preallocated")


def collect(
    settings: Mapping[str, Reading], compiled: Mapping[str, int | Absent], no_device_clock: Absent | None
) -> Readings:
    """Combine values and reasons into Readings.

    Args:
        settings: value or reason, by name of the setting.
        compiled: the same for figures named as in a record: `compiled_temporary_bytes`, `compiled_argument_bytes`, …
        no_device_clock: why the device's own clock does not time steps; None where it does.
    """
    values = {name: None if isinstance(reading, Absent) else reading for name, reading in settings.items()}
    memory = {
        name.removeprefix("compiled_"): None if isinstance(reading, Absent) else reading
        for name, reading in compiled.items()
    }
    every = {**settings, **compiled, "device_steps_s": no_device_clock}
    absent = {name: reading.why for name, reading in every.items() if isinstance(reading, Absent)}
    return Readings(values, CompiledMemory(**memory), absent)


def nothing_compiled() -> dict[str, int | Absent]:
    """Compiled memory of a step that is not compiled."""
    return dict.fromkeys(
        ("compiled_temporary_bytes", "compiled_argument_bytes", "compiled_output_bytes", "compiled_code_bytes"),
        NOT_COMPILED,
    )


def usable_amx(flags: frozenset[str], library: str) -> bool | Absent:
    """False if the CPU has no AMX; otherwise absent, since only the library knows. flags: as Linux lists them."""
    if not flags:
        return Absent("the CPU's feature flags cannot be read")
    if not any(flag.startswith("amx") for flag in flags):
        return False
    return Absent(f"the CPU has AMX, but {library} does not report whether it uses it")
