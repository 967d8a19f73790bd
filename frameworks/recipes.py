"""Recipes as data: what a framework lets a recipe choose, and how a recipe's text becomes an `Execution`.

A recipe is written as a name, optionally followed by choices that replace the recipe's own: `tuned`,
`tuned+compiler=none`. Which choices there are, and what `compiled` and `tuned` choose, is in each framework's folder
(`frameworks/<name>/recipes.py`). Importing this imports no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from frameworks.precision import DEVICES, PRECISIONS, Device, Precision
from frameworks.task import Task, TaskName

RECIPES: Final[Mapping[str, str]] = {
    "default": "what the framework's documentation shows first",
    "compiled": "the framework's whole-graph compiler",
    "tuned": "the best settings known for the device; the network may be rewritten where mathematics allows",
}
AUTOMATIC: Final = "automatic"


class Setting(NamedTuple):
    """What a recipe sets, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a recipe decides.

    values: allowed values, default first; each with its setting, None where there is nothing to explain.
    number: the setting for a whole number from 1 up, `{}` in its place, if that is allowed too.
    tasks, devices, precisions: where the choice has an effect.
    """

    values: Mapping[str, Setting | None]
    number: Setting | None = None
    tasks: tuple[TaskName, ...] = ("infer",)
    devices: tuple[Device, ...] = DEVICES
    precisions: tuple[Precision, ...] = tuple(PRECISIONS)

    @property
    def default(self) -> str:
        """The value that it has unless a recipe decides otherwise."""
        return next(iter(self.values))

    def applies(self, task: Task, device: Device, precision: Precision) -> bool:
        """Whether the choice has an effect on this task, device and precision."""
        return task.name in self.tasks and device in self.devices and precision in self.precisions

    def takes(self, value: str) -> bool:
        """Whether a value is allowed."""
        return value in self.values or bool(self.number and value.isascii() and value.isdigit() and int(value) > 0)

    def setting(self, value: str) -> Setting | None:
        """The setting that a value stands for, None where there is nothing to explain."""
        if value in self.values or self.number is None:
            return self.values[value]
        return Setting(self.number.what.format(value), self.number.reason)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe, as one framework carries it out on one device.

    name: as written. settings: what it sets, each with the reason.
    choices: the value of every choice of the framework; empty for a third-party implementation, which has none.
    """

    name: str
    settings: tuple[Setting, ...]
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Execution:
    """How a network runs: a recipe, a precision and a device. Made once, by `Framework.execution`."""

    recipe: Recipe
    precision: Precision
    device: Device

    @property
    def choices(self) -> Mapping[str, str]:
        """The value of every choice of the framework."""
        return self.recipe.choices


FOLDED: Final = Setting(
    "batch norm folded into convolutions", "one pass over each activation less; exact in real arithmetic"
)
BATCH_NORM: Final = Choice({"kept": None, "folded": FOLDED})
MEMORY: Final = Choice({
    "returned": None,
    "kept": Setting(
        "memory kept by the allocator",
        "large arrays are not given back to the kernel, which would zero and map their pages anew in every step",
    ),
})  # fmt: skip
THREADS: Final = Choice({AUTOMATIC: None}, Setting("{} threads within an operation", "as asked"))
"""Choices that mean the same in every framework."""
