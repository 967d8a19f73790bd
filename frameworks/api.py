"""What a framework is to everything outside its folder: a descriptor, and a module with capabilities.

The descriptor (`Framework`) is data and imports nothing: `frameworks/<name>/framework.py` holds it, and one line in
`frameworks/__init__.py` registers it. It names the module with the capabilities, `frameworks/<name>/program.py`, which
`load` imports together with the framework itself. Capabilities are separate protocols: every implementation
`Prepares` networks; ours also have ceilings, can be verified, and count FLOPs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast, runtime_checkable

from frameworks.blueprint import Network
from frameworks.errors import InvalidConfiguration, MissingFramework, UnknownName
from frameworks.manifest import DeviceMemory, Readings, Substitution
from frameworks.precision import DEVICES, PRECISIONS, Device, Precision
from frameworks.recipes import RECIPES, Choice, Execution, Recipe, Setting
from frameworks.task import INFER, Batch, Result, Task, TaskName
from frameworks.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Origin = Literal["framework", "third_party", "reference"]


def no_conflict(choices: Mapping[str, str], device: Device) -> None:
    """For frameworks whose choices can all go together."""


def no_toolchain_needed() -> None:
    """For frameworks that bring their compiler along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """One implementation of the networks, described without importing it.

    name: as cases and the command line have it. label: as readers of tables and charts see it. what: in a few words.
    colour: of its bars and lines on the site, on a light and on a dark page.
    origin: ours in a framework, somebody else's (third_party), or the reference that others are held against.
    backend: name of the framework that a third-party implementation runs on, whose interpreter it shares.
    program: dotted name of the module with the capabilities.
    module: the framework's own; if it is absent, the framework is missing. install: the command that installs it.
    distributions: their versions go into records.
    choices: what a recipe may choose, by name. compiled, tuned: what these recipes choose; the rest is the default.
    conflict: why some choices cannot go together on a device, None if they can.
    settings: by recipe, for an implementation whose recipes have no choices: a third-party one, the reference.
    distinct_recipes: recipes that are not the same as one before them.
    missing_toolchain: why its compiler cannot generate code on this machine, with the cure; None if it can.
    threads_variable: the environment variable from which the framework takes its number of threads as it starts;
    None if it takes it later. flop_counter: the framework's own counter of FLOPs; None without one.
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
    missing_toolchain: Callable[[], str | None] = no_toolchain_needed
    threads_variable: str | None = None
    flop_counter: str | None = None

    def recipe(self, text: str, device: str, task: Task = INFER) -> Recipe:
        """Parse a recipe for one device.

        Args:
            text: a recipe's name, with choices after it: `tuned+threads=2`. A third-party implementation takes the
                name alone.
            device: cpu or cuda.
            task: what a step computes.

        Raises:
            UnknownName: the recipe, or a choice, does not exist; the nearest names are in the message.
            InvalidConfiguration: a recipe that this implementation does not have, a value that a choice does not have,
                or choices that cannot go together.
        """
        name, *parts = [text] if self.settings else text.split("+")
        if name not in RECIPES:
            raise UnknownName("recipe", name, RECIPES)
        if self.settings:
            return Recipe(text, self._fixed_settings(name))
        named = {"default": {}, "compiled": self.compiled, "tuned": self.tuned.get((task.name, _device(device)), {})}
        defaults = {choice: known.default for choice, known in self.choices.items()}
        choices = {**defaults, **named[name], **dict(self._own_choices(text, parts))}
        why = self.conflict(choices, _device(device))
        if why:
            raise InvalidConfiguration(f"recipe '{text}' in {self.name}: {why}")
        settings = (self.choices[choice].setting(value) for choice, value in choices.items())
        return Recipe(text, tuple(setting for setting in settings if setting), choices)

    def execution(self, text: str, precision: str, device: str, task: Task = INFER) -> Execution:
        """How a recipe runs in a precision on a device. Raises as `recipe` does, and UnknownName for a precision."""
        if precision not in PRECISIONS:
            raise UnknownName("precision", precision, PRECISIONS)
        return Execution(self.recipe(text, device, task), cast("Precision", precision), _device(device))

    def written(self, choices: Mapping[str, str]) -> str:
        """The recipe with these choices, whatever `tuned` chooses: `default` and each that is not the default."""
        parts = [f"{name}={value}" for name, value in choices.items() if value != self.choices[name].default]
        return "+".join(["default", *parts])

    def open_choices(
        self, device: str, precision: str = "fp32", task: Task = INFER, threads: Sequence[int] = ()
    ) -> Mapping[str, tuple[str, ...]]:
        """Choices with more than one value that have an effect here, each with its values.

        threads: the numbers to choose from where a choice takes any.
        """
        where = task, _device(device), cast("Precision", precision)
        values = {
            name: (*choice.values, *(map(str, threads) if choice.number else ()))
            for name, choice in self.choices.items()
            if choice.applies(*where)
        }
        return {name: found for name, found in values.items() if len(found) > 1}

    def _fixed_settings(self, name: str) -> tuple[Setting, ...]:
        if name not in self.settings:
            raise InvalidConfiguration(
                f"{self.name} has no recipe '{name}', expected {' or '.join(self.settings)}"
            )
        return self.settings[name]

    def _own_choices(self, text: str, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
        for part in parts:
            name, equals, value = part.partition("=")
            if name not in self.choices:
                raise UnknownName(f"choice of a recipe in {self.name}", name, self.choices)
            choice = self.choices[name]
            if not equals or not choice.takes(value):
                allowed = [*choice.values, *(["a whole number from 1 up"] if choice.number else [])]
                raise InvalidConfiguration(
                    f"recipe '{text}' in {self.name}: {name} is '{value}', expected one of {', '.join(allowed)}"
                )
            yield name, value


def _device(name: str) -> Device:
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    return name


class Program(Protocol):
    """One network on one device, ready to be stepped.

    What `put`, `step` and `synchronise` pass on is the framework's own.
    """

    substitutions: tuple[Substitution, ...]

    def put(self, batch: Batch) -> Any:
        """The batch on the device, in the precision and layout that the network takes. Not part of a step."""

    def compile(self, batch: Any) -> bool:
        """Compile for a placed batch ahead of the first step; False if that is part of the first step."""

    def step(self, batch: Any) -> Any:
        """Compute one step of a placed batch. May return before the device has finished."""

    def synchronise(self, output: Any) -> None:
        """Return when what a step gave has been computed."""

    def result(self, output: Any) -> Result:
        """What a step computed, on the host; NHWC where it has height and width."""

    def query(self, batch: Batch) -> Result:
        """Put, step, synchronise, fetch: from images on the host to their result on the host."""

    def device_step_s(self) -> float | None:
        """Seconds of the last synchronised step on the device's own clock; None where there is no such clock."""

    def readings(self) -> Readings:
        """Settings and compiled memory, read back from the framework; complete once a step has been synchronised.

        Reading them may take seconds: not while anything is timed.
        """

    def reset_device_memory(self) -> None:
        """Start the device's high-water marks anew."""

    def device_memory(self) -> DeviceMemory | None:
        """Peak device memory since the reset; None on a CPU."""


class Prepares(Protocol):
    """Runs networks. Every implementation does."""

    def devices(self) -> tuple[Device, ...]:
        """The devices that the framework sees: "cpu", and "cuda" where there is a usable GPU."""

    def touch(self, device: Device) -> str:
        """Initialise the device and return its name. Raises Unsupported if the framework does not see it."""

    def prepare(self, network: Network, weights: Weights, execution: Execution, task: Task) -> Program:
        """Build the network with these weights, to be run as the execution says.

        Raises Unsupported with the reason if this framework or machine cannot.
        """


@runtime_checkable
class HasCeilings(Protocol):
    """Can measure the largest rates that the framework reaches on a device."""

    def matmul(self, n: int, precision: Precision, device: Device) -> Callable[[], Any]:
        """A call that multiplies two n x n matrices on the device and returns when it is done: 2 n^3 FLOPs.

        Operands are resident, settings those of a case in this precision. The first call may compile.
        Raises Unsupported if the framework does not see the device.
        """

    def copy(self, size_bytes: int, device: Device) -> Callable[[], Any]:
        """A call that copies an array of that size within the device's memory and returns when it is done.

        It reads and writes size_bytes each. The first call may compile.
        Raises Unsupported if the framework does not see the device.
        """


@runtime_checkable
class Verifiable(Protocol):
    """Gives every block's output, so that frameworks can be compared block by block."""

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
            network: what to run.
            weights: by canonical name.
            precision: of kernels and activations.
            batch: images, (batch, height, width, channels).
            masks: None for inference; for a training-mode pass (batch statistics, dropout, the auxiliary classifier)
                what each dropout layer keeps, by its path, (batch, features).
            block_inputs: by block, what the next block takes instead of this block's own output.

        Returns:
            Every block's output by name, in NHWC, the logits last; after a training-mode pass the running statistics
            as well.
        """


@runtime_checkable
class CountsFlops(Protocol):
    """Has a counter of FLOPs of its own."""

    def count_flops(self, network: Network, weights: Weights, batch: int) -> float:
        """FLOPs of a forward pass in fp32 on the CPU, as the framework's own counter has them.

        What each counter takes for a FLOP is in docs/costs.md, and `xibench.analysis.counters` checks it.
        """


class Full(Prepares, HasCeilings, Verifiable, CountsFlops, Protocol):
    """Every capability: what our own implementation in a framework has."""


_registered: dict[str, Framework] = {}
_by_origin: dict[Origin, dict[str, Framework]] = {"framework": {}, "third_party": {}, "reference": {}}

IMPLEMENTATIONS: Final[Mapping[str, Framework]] = MappingProxyType(_registered)
"""Everything that a case may name as its framework."""
FRAMEWORKS: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["framework"])
"""Our own implementations: what is compared unless something else is asked for."""
REFERENCES: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["reference"])
"""What the frameworks are held against: no rivals, so that they are run only where they are asked for."""
THIRD_PARTY: Final[Mapping[str, Framework]] = MappingProxyType(_by_origin["third_party"])
"""Other people's implementations of the same networks."""


def register(framework: Framework) -> None:
    """Add an implementation. Raises InvalidConfiguration if its name is taken by another one."""
    known = _registered.setdefault(framework.name, framework)
    if known is not framework:
        raise InvalidConfiguration(f"framework '{framework.name}' is registered already; give it another name")
    _by_origin[framework.origin][framework.name] = framework


def framework_of(name: str) -> str:
    """The framework whose interpreter an implementation runs in: its backend, or itself."""
    return IMPLEMENTATIONS[name].backend or name


def find(name: str) -> Framework:
    """The descriptor of an implementation. Raises UnknownName with the nearest names."""
    if name not in IMPLEMENTATIONS:
        raise UnknownName("framework", name, IMPLEMENTATIONS)
    return IMPLEMENTATIONS[name]


def load(name: str) -> Prepares:
    """Import an implementation and the framework that it runs on.

    Raises UnknownName, or MissingFramework with the command that installs it.
    """
    described = find(name)
    try:
        return cast("Prepares", importlib.import_module(described.program))
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("frameworks"):
            raise
        cure = IMPLEMENTATIONS[framework_of(name)].install
        raise MissingFramework(f"{name}: module '{error.name}' is not installed; {cure}") from error


def synchronised_step(program: Program, batch: Any) -> Any:
    """One step of a placed batch that returns when the device has finished: what the suites time."""
    output = program.step(batch)
    program.synchronise(output)
    return output


def matmul_operands(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two n x n matrices, the same for every framework: the values multiplied affect a GPU's clock."""
    import numpy as np

    values = np.random.default_rng(0).uniform(-1, 1, (2, n, n)).astype(np.float32)
    return values[0], values[1]
