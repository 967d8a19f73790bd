"""The capabilities of the reference: it prepares networks and takes part in `verify`.

The reference defines correctness and does not compete in speed. It has the recipe `default` only, no GPU support, no
ceilings and no FLOP counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import Network, has_batch_norm
from frameworks.errors import Unsupported
from frameworks.manifest import (
    MANIFEST,
    NO_BATCH_NORM,
    NO_PREALLOCATION,
    NOT_PUT,
    NOT_STEPPED,
    Absent,
    DeviceMemory,
    Reading,
    Readings,
    Substitution,
    collect,
    nothing_compiled,
)
from frameworks.process import arithmetic, cpu_name
from frameworks.recipes import Device, Execution, Precision
from frameworks.reference import build
from frameworks.task import Batch, Result, Task
from frameworks.weights import Weights, running_statistics

Array = NDArray[np.floating[Any]]
NOT_IN_NUMPY: Final = Absent("NumPy has no such setting")
NO_DEVICE_CLOCK: Final = Absent("NumPy has no clock of the device's own")


def devices() -> tuple[Device, ...]:
    """Only the CPU."""
    return ("cpu",)


def touch(device: Device) -> str:
    """The CPU's name. Raises Unsupported for another device."""
    _require("default", device)
    return cpu_name()


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> ReferenceProgram:
    """Return a network that is ready to run. Raises Unsupported for a recipe or device that it does not have."""
    _require(execution.recipe.name, execution.device)
    return ReferenceProgram(network, weights, execution.precision)


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: Array,
    masks: Mapping[str, Array] | None = None,
    block_inputs: Mapping[str, Array] | None = None,
) -> Result:
    """See frameworks.api.Verifiable."""
    model = build(network, weights=weights, precision=precision)
    if masks is None:
        return model.blocks(batch, block_inputs)
    model.train()
    model.masks = masks
    return model.blocks(batch, block_inputs) | running_statistics(model.weights())


class ReferenceProgram:
    """A network in NumPy; see frameworks.api.Program. A step has finished when it returns."""

    substitutions: tuple[Substitution, ...] = ()

    def __init__(self, network: Network, weights: Weights, precision: Precision) -> None:
        self.model = build(network, weights=weights, precision=precision)
        self.normalised = has_batch_norm(network)
        self.batch: Array | None = None
        self.output: Array | None = None

    def put(self, batch: Batch) -> Array:
        self.batch = batch.images.astype(self.model.dtype)
        return self.batch

    def compile(self, batch: Array) -> bool:
        """Always False: nothing is compiled."""
        return False

    def step(self, batch: Array) -> Array:
        return self.model(batch)

    def synchronise(self, output: Array) -> None:
        self.output = output

    def result(self, output: Array) -> Result:
        return {"logits": output}

    def query(self, batch: Batch) -> Result:
        return self.result(self.step(self.put(batch)))

    def device_step_s(self) -> float | None:
        return None

    def readings(self) -> Readings:
        return collect(self._settings(), nothing_compiled(), NO_DEVICE_CLOCK)

    def reset_device_memory(self) -> None:
        """No effect: NumPy has no device memory."""

    def device_memory(self) -> DeviceMemory | None:
        return None

    def _settings(self) -> dict[str, Reading]:
        """Every setting of the manifest; those that NumPy does not have are absent."""
        dtype = np.dtype(self.model.dtype).name
        stepped = self.output is not None
        return {
            **dict.fromkeys(MANIFEST, NOT_IN_NUMPY),
            "layout": NOT_PUT if self.batch is None else "NHWC",
            "compiler": "none",
            "compile_scope": "none",
            "batch_norm_folded": False if self.normalised else NO_BATCH_NORM,
            "kernel_dtype": dtype,
            "output_dtype": self.output.dtype.name if self.output is not None else NOT_STEPPED,
            "output_device": "cpu" if stepped else NOT_STEPPED,
            "results_copied_to_host": False if stepped else NOT_STEPPED,
            "tf32": False,
            **arithmetic(lambda left, right: left * right),
            "preallocation": NO_PREALLOCATION,
            "arithmetic_dtype": "float64",
        }


def _require(recipe: str, device: str) -> None:
    if device != "cpu":
        raise Unsupported(f"reference: no device '{device}' in NumPy, expected cpu")
    if recipe != "default":
        raise Unsupported(f"reference: no recipe '{recipe}', expected default, each layer as its definition")
