"""How a network runs: devices, precisions and recipes, and their parsed combination, an `Execution`.

A recipe is written as its name, optionally followed by choices that override it: `tuned`, `tuned+compiler=none`. Each
framework's descriptor defines its choices and what `compiled` and `tuned` choose (`frameworks/<name>/framework.py`).
Imports no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, cast, get_args

import msgspec

from frameworks.errors import UnknownName, Unsupported
from frameworks.task import Task, TaskName

Device = Literal["cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = get_args(Device)
Precision = Literal["fp64", "fp32", "tf32", "bf16"]
PRECISIONS: Final[Mapping[Precision, str]] = {
    "fp64": "kernels, activations and batch norm in float64",
    "fp32": "everything in float32; TF32 off",
    "tf32": "as fp32, but float32 matmuls and convolutions may run in TF32; on NVIDIA GPUs since Ampere",
    "bf16": "kernels and activations in bfloat16; batch-norm parameters and statistics stay in float32",
}
MIN_CAPABILITY_FOR_TF32: Final = (8, 0)
"""Ampere, the first architecture with TF32 (CUDA C++ programming guide, table of compute capabilities)."""

RECIPES: Final[Mapping[str, str]] = {
    "default": "what the framework's documentation shows first",
    "compiled": "the framework's whole-graph compiler",
    "tuned": "the best known settings for the device; exact rewrites of the network are allowed",
}
AUTOMATIC: Final = "automatic"


class Setting(NamedTuple):
    """A setting that a recipe makes, described for readers of its documentation.

    what: the setting. reason: why it is made.
    """

    what: str
    reason: str


class Choice(msgspec.Struct, frozen=True):
    """One choice that a recipe makes.

    values: allowed values, default first, each with its description; None for a value that needs none.
    number: description of a whole number from 1 up (`{}` stands for it); None if numbers are not allowed.
    tasks, devices, precisions: those on which the choice has an effect.
    """

    values: Mapping[str, Setting | None]
    number: Setting | None = None
    tasks: tuple[TaskName, ...] = ("infer",)
    devices: tuple[Device, ...] = DEVICES
    precisions: tuple[Precision, ...] = tuple(PRECISIONS)

    @property
    def default(self) -> str:
        """The value unless a recipe chooses another one."""
        return next(iter(self.values))

    def applies(self, task: Task, device: Device, precision: Precision) -> bool:
        """Whether the choice has an effect on this task, device and precision."""
        return task.name in self.tasks and device in self.devices and precision in self.precisions

    def takes(self, value: str) -> bool:
        """Whether a value is allowed."""
        return value in self.values or bool(self.number and value.isascii() and value.isdigit() and int(value) > 0)

    def setting(self, value: str) -> Setting | None:
        """The description of a value; None if it needs none."""
        if value in self.values or self.number is None:
            return self.values[value]
        return Setting(self.number.what.format(value), self.number.reason)


class Recipe(msgspec.Struct, frozen=True):
    """A recipe as parsed for one framework and device.

    name: as written. settings: descriptions of what it sets.
    choices: the value of every choice of the framework; empty for an implementation without choices.
    """

    name: str
    settings: tuple[Setting, ...]
    choices: Mapping[str, str] = msgspec.field(default_factory=dict)


class Execution(msgspec.Struct, frozen=True):
    """How a network runs: a recipe, a precision and a device. Parsed once, by `Framework.execution`."""

    recipe: Recipe
    precision: Precision
    device: Device


def known_precision(text: str) -> Precision:
    """Return a precision by name. Raises UnknownName, which suggests the nearest names."""
    if not isinstance(text, str) or text not in PRECISIONS:
        raise UnknownName("precision", text, PRECISIONS)
    return cast("Precision", text)


def require_tf32(framework: str, capability: tuple[int, int] | None) -> None:
    """Raise Unsupported if the device has no TF32, where the precision tf32 would silently be fp32.

    Args:
        framework: its name, for the message.
        capability: the device's CUDA compute capability; None for a CPU.
    """
    if capability and capability >= MIN_CAPABILITY_FOR_TF32:
        return
    found = f"a GPU of compute capability {capability[0]}.{capability[1]}" if capability else "this device"
    raise Unsupported(
        f"{framework}: {found} has no TF32; expected an NVIDIA GPU of compute capability 8.0 or higher; use fp32"
    )


FOLDED: Final = Setting(
    "batch norm folded into convolutions", "saves one pass over each activation; exact in real arithmetic"
)
BATCH_NORM: Final = Choice({"kept": None, "folded": FOLDED})
MEMORY: Final = Choice({
    "returned": None,
    "kept": Setting(
        "memory kept by the allocator",
        "otherwise large arrays return to the kernel, which maps and zeroes their pages again in every step",
    ),
})  # fmt: skip
THREADS: Final = Choice({AUTOMATIC: None}, Setting("{} intra-op threads", "as requested"))
"""BATCH_NORM, MEMORY and THREADS have the same meaning in every framework."""
