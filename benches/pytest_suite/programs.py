"""The programs that the suite measures: a network in a framework on its best device, and a batch on that device."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from frameworks import api, weights
from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.process import configure_process
from frameworks.task import INFER, Batch
from xibench.measure.memory import HighWaterMark

FRAMEWORKS: Final = ("pytorch", "tensorflow", "jax")
MODELS: Final = ("xception", "inception_v3")
RECIPES: Final = ("default", "tuned")
BATCHES: Final = (1, 8)

RESOLUTION: Final = 299  # pixels, square
PRECISION: Final = "fp32"


class Prepared(NamedTuple):
    """A program that is built but not compiled, and its batch on the device."""

    program: Any  # frameworks.api.Program
    batch: Any  # of the framework
    kind: str  # cpu or cuda
    device: str  # model of the device
    host: HighWaterMark  # since the framework was imported and its device initialised


def prepare(framework: str, model: str, recipe: str, batch: int) -> Prepared:
    """Build a network and put a seeded batch of noise in -1..1, (batch, RESOLUTION, RESOLUTION, 3), on its device.

    Args:
        framework: Name of the framework.
        model: Name of the network.
        recipe: Name of the recipe.
        batch: Images per step.

    Raises:
        NotImplementedError: The framework is not installed, or it or the machine does not support this.
    """
    described = api.find(framework)
    configure_process(described, described.execution(recipe, PRECISION, "cpu"))
    try:
        implementation = api.load(framework)
        kind = implementation.devices()[-1]
        device, host = implementation.touch(kind), HighWaterMark()
        blueprint = network(model)
        noise = np.random.default_rng(0).uniform(-1, 1, (batch, RESOLUTION, RESOLUTION, 3)).astype(np.float32)
        arrays = weights.initial(blueprint, seed=0)
        program = implementation.prepare(blueprint, arrays, described.execution(recipe, PRECISION, kind), INFER)
        return Prepared(program, program.put(Batch(noise)), kind, device, host)
    except (MissingFramework, Unsupported) as error:
        raise NotImplementedError(str(error)) from error
