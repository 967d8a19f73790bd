"""What both suites step: a network in a framework on the best device there is, and a batch on that device.

It lies in this folder because asv imports the folder alone, as a package of its own name: nothing beside it can be
imported there. The pytest suite takes it from here.
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
except ImportError:  # asv measures older commits with these files: from before there was frameworks.api
    api = None

# Append only: asv's history of a benchmark is keyed by these names.
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
    """A framework's best device, initialised: `kind` is "cpu" or "cuda", `name` the model's."""

    implementation: Any
    kind: str
    name: str


def device(framework: str) -> Device:
    """The framework and its best device.

    Raises NotImplementedError, which asv takes as "skip", with the reason where the framework is not installed.
    """
    try:
        implementation = _load(framework)
        kind = implementation.devices()[-1]
        return Device(implementation, kind, implementation.touch(kind))
    except (MissingFramework, Unsupported) as error:
        raise NotImplementedError(str(error)) from error


def prepare(framework: str, model: str, recipe: str) -> tuple[Any, Any]:
    """The network not stepped yet, and a seeded batch of noise in -1..1 on its device.

    Raises NotImplementedError where this framework or machine cannot.
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
    """One step that returns when the device has finished: what is timed."""
    program.synchronise(program.step(batch))


def _load(framework: str) -> Any:
    if api is not None:
        return api.load(framework)
    return importlib.import_module("frameworks.runtime").load(framework)


def _configure(framework: str, recipe: str) -> None:
    """Before the framework is imported; on a GPU no recipe asks for it."""
    if api is not None:
        from frameworks.process import configure_process

        described = api.find(framework)
        configure_process(described, described.execution(recipe, PRECISION, "cpu"))
        return
    with contextlib.suppress(ImportError):  # from before a recipe could ask for it
        importlib.import_module("frameworks.beginning").begin(framework, recipe, "cpu")


@lru_cache(maxsize=1)
def warm(framework: str, model: str, recipe: str) -> tuple[Any, Any]:
    """`prepare`, compiled and stepped. Cached, because asv calls a benchmark's setup again before every sample."""
    program, batch = prepare(framework, model, recipe)
    program.compile(batch)
    for _ in range(WARMUP_STEPS):
        synchronised_step(program, batch)
    return program, batch
