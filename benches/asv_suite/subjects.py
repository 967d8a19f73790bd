"""What both suites step: a network in a framework on the best device there is, and a batch on that device.

It lies in this folder because asv imports the folder alone, as a package of its own name: nothing beside it can be
imported there. The pytest suite takes it from here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from frameworks import weights
from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.runtime import Runtime, Subject, load, synchronised_step

try:
    from frameworks import beginning
except ImportError:  # asv measures older commits with these files
    beginning = None  # type: ignore[assignment]

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

    runtime: Runtime
    kind: str
    name: str


def device(framework: str) -> Device:
    """The framework and its best device.

    Raises NotImplementedError, which asv takes as "skip", with the reason where the framework is not installed.
    """
    try:
        runtime = load(framework)
        kind = runtime.devices()[-1]
        return Device(runtime, kind, runtime.touch(kind))
    except (MissingFramework, Unsupported) as error:
        raise NotImplementedError(str(error)) from error


def prepared(framework: str, model: str, recipe: str) -> tuple[Subject, Any]:
    """The network not stepped yet, and a seeded batch of noise in -1..1 on its device.

    Raises NotImplementedError where this framework or machine cannot.
    """
    if beginning:
        beginning.begin(framework, recipe, "cpu")  # before the framework is imported; on a GPU no recipe asks for it
    runtime, kind, _ = device(framework)
    blueprint = network(model)
    try:
        subject = runtime.prepare(blueprint, weights.initial(blueprint, seed=0), recipe, PRECISION, kind)
    except Unsupported as error:
        raise NotImplementedError(str(error)) from error
    noise = np.random.default_rng(0).uniform(-1, 1, (BATCH, RESOLUTION, RESOLUTION, 3)).astype(np.float32)
    return subject, subject.put(noise)


@lru_cache(maxsize=1)
def warm(framework: str, model: str, recipe: str) -> tuple[Subject, Any]:
    """`prepared`, compiled and stepped. Cached, because asv calls a benchmark's setup again before every sample."""
    subject, batch = prepared(framework, model, recipe)
    subject.compile(batch)
    for _ in range(WARMUP_STEPS):
        synchronised_step(subject, batch)
    return subject, batch
