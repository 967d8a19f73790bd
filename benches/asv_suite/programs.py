"""The programs that both suites measure: a network in a framework on its best device, and a batch on that device.

The module is in this folder because asv imports the folder as a top-level package, from which no other module of
`benches` can be imported. The pytest suite imports it from here.
"""

from __future__ import annotations

import contextlib
import importlib
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from frameworks import weights
from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported

try:
    api: Any = importlib.import_module("frameworks.api")
except ImportError:  # asv also runs these files on older commits, which have no frameworks.api
    api = None

# Only append to these: they are keys of asv's history of a benchmark.
FRAMEWORKS: Final = ("pytorch", "tensorflow", "jax")
MODELS: Final = ("xception", "inception_v3")
RECIPES: Final = ("default", "tuned")
AXES: Final = (FRAMEWORKS, MODELS, RECIPES)
AXIS_NAMES: Final = ("framework", "model", "recipe")

BATCH: Final = 1
RESOLUTION: Final = 299  # pixels, square
PRECISION: Final = "fp32"
WARMUP_STEPS: Final = 3


class Device(NamedTuple):
    """A framework's best device after initialisation."""

    implementation: Any  # the framework's module
    kind: str  # cpu or cuda
    name: str  # model of the device


def device(framework: str) -> Device:
    """Load a framework and initialise its best device.

    Raises:
        NotImplementedError: The framework is not installed or has no device. asv skips the benchmark.
    """
    try:
        implementation = _load(framework)
        kind = implementation.devices()[-1]
        return Device(implementation, kind, implementation.touch(kind))
    except (MissingFramework, Unsupported) as error:
        raise NotImplementedError(str(error)) from error


def prepare(framework: str, model: str, recipe: str) -> tuple[Any, Any]:
    """Build a network and put a batch on its device, without compiling the network.

    Args:
        framework: Name of the framework.
        model: Name of the network.
        recipe: Name of the recipe.

    Returns:
        The program, and a seeded batch of noise in -1..1, (BATCH, RESOLUTION, RESOLUTION, 3).

    Raises:
        NotImplementedError: The framework or machine does not support this. asv skips the benchmark.
    """
    _configure(framework, recipe)
    implementation, kind, _ = device(framework)
    blueprint = network(model)
    arrays = weights.initial(blueprint, seed=0)
    noise = np.random.default_rng(0).uniform(-1, 1, (BATCH, RESOLUTION, RESOLUTION, 3)).astype(np.float32)
    try:
        if api is None:
            program = implementation.prepare(blueprint, arrays, recipe, PRECISION, kind)
            return program, program.put(noise)
        from frameworks.task import INFER, Batch

        execution = api.find(framework).execution(recipe, PRECISION, kind)
        program = implementation.prepare(blueprint, arrays, execution, INFER)
        return program, program.put(Batch(noise))
    except Unsupported as error:
        raise NotImplementedError(str(error)) from error


def synchronised_step(program: Any, batch: Any) -> None:
    """Run one step and wait until the device has finished. This is the call that is timed."""
    program.synchronise(program.step(batch))


def _load(framework: str) -> Any:
    if api is not None:
        return api.load(framework)
    return importlib.import_module("frameworks.runtime").load(framework)


def _configure(framework: str, recipe: str) -> None:
    """Configure the process for a recipe on a CPU, which must happen before the framework is imported.

    No recipe requires it on a GPU.
    """
    if api is not None:
        from frameworks.process import configure_process

        described = api.find(framework)
        configure_process(described, described.execution(recipe, PRECISION, "cpu"))
        return
    with contextlib.suppress(ImportError):  # the oldest commits have no such configuration
        importlib.import_module("frameworks.beginning").begin(framework, recipe, "cpu")


@lru_cache(maxsize=1)
def warm(framework: str, model: str, recipe: str) -> tuple[Any, Any]:
    """Do the same as `prepare`, then compile and warm up. Cached, because asv calls `setup` before every sample."""
    program, batch = prepare(framework, model, recipe)
    program.compile(batch)
    for _ in range(WARMUP_STEPS):
        synchronised_step(program, batch)
    return program, batch
