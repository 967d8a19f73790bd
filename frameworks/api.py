"""The interface of a framework: a descriptor, and a module with capabilities.

The descriptor (`Framework`) is data and imports no framework: it is defined in `frameworks/<name>/framework.py`, and
`frameworks/__init__.py` registers it with one line. It names the module with the capabilities,
`frameworks/<name>/program.py`, which `load` imports together with the framework itself. Each capability is a protocol:
every implementation `Prepares` networks; our own also measure ceilings, can be verified, and count FLOPs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast, runtime_checkable

from frameworks.blueprint import Network
from frameworks.errors import InvalidConfiguration, MissingFramework, UnknownName
from frameworks.manifest import DeviceMemory, Readings, Substitution
from frameworks.recipes import DEVICES, PRECISIONS, RECIPES, Choice, Device, Execution, Precision, Recipe, Setting
from frameworks.task import INFER, Batch, Result, Task, TaskName
from frameworks.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Origin = Literal["framework", "third_party", "reference"]


def no_conflict(choices: Mapping[str, str], device: Device) -> None:
    """Any combination of choices is possible."""


def no_toolchain_needed() -> None:
    """The framework includes its compiler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """Descriptor of one implementation of the networks; imports nothing of it.

    name: in cases and on the command line. label: in tables and charts. what: description in a few words.
    colour: of its bars and lines on the site, for the light and the dark theme.
    origin: our own implementation in a framework, a third-party implementation, or the reference for correctness.
    backend: name of the framework that a third-party implementation runs on, whose interpreter it shares.
    program: dotted name of the module with the capabilities.
    module: the framework's top-level module, whose absence means that the framework is not installed.
    install: the command that installs it. distributions: packages whose versions are recorded.
    choices: the choices of a recipe, by name. compiled, tuned: what these recipes choose; all else is at its default.
    conflict: returns why a combination of choices is impossible on a device, None if it is possible.
    settings: by recipe, for an implementation whose recipes have no choices: third-party ones and the reference.
    distinct_recipes: recipes that differ from all before them.
    networks: for an implementation that has only some networks, the variants of each that it has; None: all.
    precisions, devices: those that it has.
    missing_toolchain: returns why its compiler cannot generate code on this machine and what to do, None if it can.
    threads_variable: environment variable with the number of threads that the framework reads when it is imported;
    None if the number is set later. flop_counter: name of the framework's own FLOP counter; None without one.
    """

    name: str
    label: str
    what: str
    colour: tuple[str, str]
    program: str
    module: str
    install: str
    distributions: tuple[str, ...]
    origin: Origin = "framework"
    backend: str = ""
    choices: Mapping[str, Choice] = field(default_factory=dict)
    compiled: Mapping[str, str] = field(default_factory=dict)
    tuned: Mapping[tuple[TaskName, Device], Mapping[str, str]] = field(default_factory=dict)
    conflict: Callable[[Mapping[str, str], Device], str | None] = no_conflict
    settings: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)
    distinct_recipes: tuple[str, ...] = tuple(RECIPES)
    networks: Mapping[str, tuple[str, ...]] | None = None
    precisions: tuple[Precision, ...] = tuple(PRECISIONS)
    devices: tuple[Device, ...] = DEVICES
    missing_toolchain: Callable[[], str | None] = no_toolchain_needed
    threads_variable: str | None = None
    flop_counter: str | None = None

    def recipe(self, text: str, device: Device, task: Task = INFER) -> Recipe:
        """Parse a recipe for one device.

        Args:
            text: name of the recipe, optionally followed by choices: `tuned+threads=2`. Implementations without choices
                take the name only.
            device: cpu or cuda.
            task: what a step computes.

        Raises:
            UnknownName: the recipe or a choice does not exist; the message suggests the nearest names.
            InvalidConfiguration: this implementation does not have the recipe, a choice does not have the value, or
                the combination of choices is impossible.
        """
        name, *parts = [text] if self.settings else text.split("+")
        if name not in RECIPES:
            raise UnknownName("recipe", name, RECIPES)
        if self.settings:
            if name not in self.settings:
                raise InvalidConfiguration(f"{self.name} has no recipe '{name}', expected {' or '.join(self.settings)}")
            return Recipe(text, self.settings[name])

        # Defaults first, then what the named recipe chooses, then the choices that the text adds.
        named = {"default": {}, "compiled": self.compiled, "tuned": self.tuned.get((task.name, device), {})}
        choices = {**{choice: known.default for choice, known in self.choices.items()}, **named[name]}
        for part in parts:
            choice, equals, value = part.partition("=")
            if choice not in self.choices:
                raise UnknownName(f"choice of a recipe in {self.name}", choice, self.choices)
            known = self.choices[choice]
            if not equals or not known.takes(value):
                allowed = [*known.values, *(["a whole number from 1 up"] if known.number else [])]
                raise InvalidConfiguration(
                    f"recipe '{text}' in {self.name}: {choice} is '{value}', expected one of {', '.join(allowed)}"
                )
            choices[choice] = value

        why = self.conflict(choices, device)
        if why:
            raise InvalidConfiguration(f"recipe '{text}' in {self.name}: {why}")
        settings = (self.choices[choice].setting(value) for choice, value in choices.items())
        return Recipe(text, tuple(setting for setting in settings if setting), choices)

    def execution(self, text: str, precision: Precision, device: Device, task: Task = INFER) -> Execution:
        """Parse a recipe for a precision and a device. Raises as `recipe` does."""
        return Execution(self.recipe(text, device, task), precision, device)

    def written(self, choices: Mapping[str, str]) -> str:
        """The recipe with these choices as text: `default`, followed by each choice that is not at its default."""
        parts = [f"{name}={value}" for name, value in choices.items() if value != self.choices[name].default]
        return "+".join(["default", *parts])

    def open_choices(
        self, device: Device, precision: Precision = "fp32", task: Task = INFER, threads: Sequence[int] = ()
    ) -> Mapping[str, tuple[str, ...]]:
        """The choices to search over: those with an effect here and more than one value.

        Args:
            device: cpu or cuda.
            precision: of the case.
            task: what a step computes.
            threads: the numbers to try for a choice that allows any number.

        Returns:
            The values of each choice, by its name.
        """
        values = {
            name: (*choice.values, *(map(str, threads) if choice.number else ()))
            for name, choice in self.choices.items()
            if choice.applies(task, device, precision)
        }
        return {name: found for name, found in values.items() if len(found) > 1}


class Program(Protocol):
    """One network on one device, ready to run steps.

    Batches on the device and outputs of steps are of the framework's own array type.
    """

    @property
    def substitutions(self) -> tuple[Substitution, ...]:
        """What the recipe or precision asks for and the machine does not have, with what is used instead.

        Complete once a step has been synchronised.
        """

    def put(self, batch: Batch) -> Any:
        """Copy a batch to the device, in the precision and layout that the network takes. Not part of a step."""

    def compile(self, batch: Any) -> bool:
        """Compile ahead of time for a batch on the device. Returns False if the first step compiles instead."""

    def step(self, batch: Any) -> Any:
        """Run one step on a batch on the device. May return before the device has finished."""

    def synchronise(self, output: Any) -> None:
        """Block until the output of a step has been computed."""

    def result(self, output: Any) -> Result:
        """Copy the output of a step to the host; arrays with height and width are NHWC."""

    def query(self, batch: Batch) -> Result:
        """From images on the host to their result on the host: put, step, synchronise and result."""

    def device_step_s(self) -> float | None:
        """Duration of the last synchronised step by the device's own clock, in seconds; None without such a clock."""

    def readings(self) -> Readings:
        """Settings and memory of the compiled program, as read back from the framework.

        Complete once a step has been synchronised. May take seconds, so do not call it while anything is timed.
        """

    def reset_device_memory(self) -> None:
        """Reset the device's peak-memory counters."""

    def device_memory(self) -> DeviceMemory | None:
        """Peak device memory since the reset; None on a CPU."""


class Prepares(Protocol):
    """Can run networks: every implementation."""

    def devices(self) -> tuple[Device, ...]:
        """The devices that the framework can use: "cpu", and "cuda" if it finds a usable GPU."""

    def touch(self, device: Device) -> str:
        """Initialise the device and return its name. Raises Unsupported if the framework cannot use it."""

    def prepare(self, network: Network, weights: Weights, execution: Execution, task: Task) -> Program:
        """Build a program that runs a network.

        Args:
            network: the blueprint.
            weights: by canonical name.
            execution: recipe, precision and device.
            task: what a step computes.

        Raises:
            Unsupported: this framework or machine cannot run it; the message has the reason.
        """


@runtime_checkable
class HasCeilings(Protocol):
    """Can measure ceilings: the highest compute rate and memory bandwidth that the framework attains on a device."""

    def matmul(self, n: int, precision: Precision, device: Device) -> Callable[[], Any]:
        """Return a function that multiplies two n x n matrices (2 n^3 FLOPs) and returns when the device has finished.

        The operands are on the device already; settings are those of a case in this precision. The first call may
        compile. Raises Unsupported if the framework cannot use the device.
        """

    def copy(self, size_bytes: int, device: Device) -> Callable[[], Any]:
        """Return a function that copies an array within the device's memory and returns when the device has finished.

        A call reads size_bytes and writes as many. The first call may compile. Raises Unsupported if the framework
        cannot use the device.
        """


@runtime_checkable
class Verifiable(Protocol):
    """Can return every block's output, so that implementations can be compared block by block."""

    def outputs(
        self,
        network: Network,
        weights: Weights,
        precision: Precision,
        batch: NDArray[np.floating[Any]],
        masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
        block_inputs: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    ) -> Result:
        """One forward pass on the CPU.

        Args:
            network: the blueprint.
            weights: by canonical name.
            precision: of kernels and activations.
            batch: images, (batch, height, width, channels).
            masks: None for inference. For a pass in training mode (batch statistics, dropout, auxiliary classifier) the
                dropout masks, (batch, features), by the path of their layer; 1 keeps a unit, 0 drops it.
            block_inputs: by name of a block, an array that the next block takes instead of this block's output.

        Returns:
            Every block's output by name, in NHWC, the logits last; after a pass in training mode the updated running
            statistics as well.
        """


@runtime_checkable
class CountsFlops(Protocol):
    """Has its own FLOP counter."""

    def count_flops(self, network: Network, weights: Weights, batch: int) -> float:
        """FLOPs of a forward pass in fp32 on the CPU, by the framework's own counter.

        What each counter counts as a FLOP is documented in docs/costs.md and checked by `xibench.analysis.counters`.
        """


class Full(Prepares, HasCeilings, Verifiable, CountsFlops, Protocol):
    """All capabilities, which each of our own implementations has."""


_registered: dict[str, Framework] = {}
_by_origin: dict[Origin, dict[str, Framework]] = {"framework": {}, "third_party": {}, "reference": {}}

IMPLEMENTATIONS: Final[Mapping[str, Framework]] = MappingProxyType(_registered)
"""All implementations: whatever a case may name as its framework."""
FRAMEWORKS: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["framework"])
"""Our own implementations, which are measured by default."""
REFERENCES: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["reference"])
"""Reference implementations, which define correctness; they run only on request."""
THIRD_PARTY: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["third_party"])
"""Third-party implementations of the same networks."""


def register(framework: Framework) -> None:
    """Add an implementation. Raises InvalidConfiguration if another one has its name."""
    known = _registered.setdefault(framework.name, framework)
    if known is not framework:
        raise InvalidConfiguration(f"framework '{framework.name}' is registered already; give it another name")
    _by_origin[framework.origin][framework.name] = framework


def framework_of(name: str) -> str:
    """The framework whose interpreter an implementation runs in: its backend, or itself."""
    return IMPLEMENTATIONS[name].backend or name


def find(name: str) -> Framework:
    """The descriptor of an implementation. Raises UnknownName if there is none; the message suggests names."""
    if name not in IMPLEMENTATIONS:
        raise UnknownName("framework", name, IMPLEMENTATIONS)
    return IMPLEMENTATIONS[name]


def load(name: str) -> Prepares:
    """Import an implementation and the framework that it runs on.

    Returns:
        The module with its capabilities.

    Raises:
        UnknownName: there is no such implementation.
        MissingFramework: the framework is not installed; the message has the command that installs it.
    """
    described = find(name)
    with importing(name):
        return cast("Prepares", importlib.import_module(described.program))


@contextmanager
def importing(name: str) -> Iterator[None]:
    """Raise MissingFramework, with the command that installs it, for a module that an implementation does not find."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("frameworks"):
            raise
        cure = IMPLEMENTATIONS[framework_of(name)].install
        raise MissingFramework(f"{name}: module '{error.name}' is not installed; {cure}") from error


def synchronised_step(program: Program, batch: Any) -> Any:
    """Run one step and wait for the device, which is what the suites time."""
    output = program.step(batch)
    program.synchronise(output)
    return output


def matmul_operands(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two n x n matrices with the same values in every framework, since values affect a GPU's power and clock."""
    import numpy as np

    values = np.random.default_rng(0).uniform(-1, 1, (2, n, n)).astype(np.float32)
    return values[0], values[1]
