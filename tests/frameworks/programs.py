"""Programs of a framework, prepared and stepped as the instrument does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameworks.api import Program, find, load, synchronised_step
from frameworks.blueprint import Network
from frameworks.recipes import Device, Precision
from frameworks.task import INFER, Batch
from frameworks.weights import Weights, initial


def prepare(
    name: str, network: Network, recipe: str = "default", precision: Precision = "fp32", device: Device = "cpu",
    weights: Weights | None = None,
) -> Program:  # fmt: skip
    execution = find(name).execution(recipe, precision, device)
    return load(name).prepare(network, initial(network) if weights is None else weights, execution, INFER)


def step(program: Program, images: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """The logits of one step, compiled before."""
    batch = program.put(Batch(images))
    program.compile(batch)
    return program.result(synchronised_step(program, batch))["logits"]
