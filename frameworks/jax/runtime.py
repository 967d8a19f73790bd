"""JAX behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import Network, has_batch_norm
from frameworks.errors import Unsupported
from frameworks.jax import recipes, settings
from frameworks.jax.ceilings import copy as copy
from frameworks.jax.ceilings import product as product
from frameworks.jax.layers import Dropout, to_canonical
from frameworks.jax.model import DTYPES, Model, build
from frameworks.jax.recipes import Prepared
from frameworks.jax.recipes import recipe as recipe
from frameworks.manifest import CompiledMemory, Setting, compiled_memory, present, reasons
from frameworks.runtime import DeviceMemory, Precision, bf16_on_cpu, cpu_name, synchronised_step
from frameworks.weights import Weights, running_statistics


def devices() -> tuple[str, ...]:
    """The devices that JAX sees."""
    try:
        recipes.jax_device("cuda")
    except Unsupported:
        return ("cpu",)
    return ("cpu", "cuda")


def touch(device: str) -> str:
    """Initialises the device and returns its name. Raises Unsupported if JAX does not see it."""
    found = recipes.jax_device(device)
    jax.device_put(np.zeros(1, np.float32), found).block_until_ready()
    return cpu_name() if device == "cpu" else str(found.device_kind)


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> JaxSubject:
    """The network on the device as the recipe says. Raises Unsupported if JAX does not see the device."""
    prepared = recipes.prepare(network, weights, recipe, precision, device)
    return JaxSubject(prepared, has_batch_norm(network), precision, device)


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """What XLA's cost analysis counts in the program as written, before XLA rewrites it for a device; see
    frameworks.runtime.Runtime.
    """
    subject = prepare(network, weights, "default", "fp32", "cpu")
    images = jax.ShapeDtypeStruct((batch, *network.input_shape), jnp.float32)
    return float(subject.function.lower(subject.state, images).cost_analysis()["flops"])


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """One forward pass on the CPU for `verify`; see frameworks.runtime.Runtime."""
    with jax.default_device(recipes.jax_device("cpu")):
        model = build(network, weights=weights, precision=precision)
        dtype = DTYPES[precision]
        x = jnp.asarray(batch, dtype)
        if masks is not None:
            model.train()
            for path, mask in masks.items():
                _dropout(model, path).mask = jnp.asarray(mask)
        forced = None if given is None else {name: jnp.asarray(array, dtype) for name, array in given.items()}
        with _quick_compilation():
            blocks = model.blocks(x, forced)
        arrays = {name: to_canonical(block) for name, block in blocks.items()}
        return arrays if masks is None else arrays | running_statistics(model.weights())


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Less optimisation: what is compiled here runs once. What a run times is compiled as usual."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def _dropout(model: Model, path: str) -> Dropout:
    found = reduce(getattr, path.split("."), model)
    assert isinstance(found, Dropout)
    return found


class JaxSubject:
    """A network as a recipe prepared it, on a device. normalised: whether the network has batch norm."""

    def __init__(self, prepared: Prepared, normalised: bool, precision: Precision, device: str) -> None:
        self.function, self.state, self.forms = prepared.function, prepared.state, prepared.forms
        self.options = prepared.options
        self.normalised = normalised
        self.call: Any = self.function
        self.program = ""  # StableHLO, once compiled: what settings are read from
        self.substitutions = (*prepared.substitutions, *bf16_on_cpu("XLA", precision, device))
        self.dtype = DTYPES[precision]
        self.device = recipes.jax_device(device)
        self.layout_put = ""
        self.cache = ""  # what the compilation cache gave, once compiled
        self.output: jax.Array | None = None
        self.preallocated = _took_most(self.device)

    def put(self, batch: NDArray[np.float32]) -> jax.Array:
        """A NHWC array on the device, in the subject's precision."""
        placed = jax.device_put(batch.astype(self.dtype), self.device)
        self.layout_put = "NHWC" if placed.shape[-1] == batch.shape[-1] else "NCHW"
        return placed

    def compile(self, batch: jax.Array) -> bool:
        """Lowers and compiles for the batch's shape; False if the function cannot be."""
        if not isinstance(self.function, jax.stages.Wrapped):
            return False
        lowered = self.function.lower(self.state, batch)
        hits = settings.cache_hits()
        self.call = lowered.compile()
        self.program = lowered.as_text()
        self.cache = settings.cache_state(hits)
        return True

    def step(self, batch: jax.Array) -> jax.Array:
        output: jax.Array = self.call(self.state, batch)
        return output

    def synchronise(self, output: jax.Array) -> None:
        self.output = output
        output.block_until_ready()

    def fetch(self, output: jax.Array) -> NDArray[np.floating]:
        return np.asarray(output if output.dtype == jnp.float64 else output.astype(jnp.float32))

    def query(self, batch: NDArray[np.float32]) -> NDArray[np.floating]:
        return self.fetch(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        return None

    def settings(self) -> dict[str, Setting]:
        return present(settings.readings(self))

    def compiled_memory(self) -> CompiledMemory:
        return compiled_memory(settings.compiled_readings(self))

    def absent(self) -> dict[str, str]:
        device = {"device_steps_s": settings.NO_EVENTS}
        return reasons(settings.readings(self) | settings.compiled_readings(self) | device)

    def reset_device_memory(self) -> None:
        """XLA's counters cannot be reset: they hold the process's peak."""

    def device_memory(self) -> DeviceMemory | None:
        stats = self.device.memory_stats()
        if self.device.platform == "cpu" or not stats:
            return None
        return DeviceMemory(stats.get("peak_bytes_in_use"), stats.get("peak_pool_bytes"))


def _took_most(device: jax.Device) -> bool:
    """Whether most of the device's memory is in JAX's pool before any network is."""
    stats = device.memory_stats() or {}
    return bool(2 * stats.get("pool_bytes", 0) > stats.get("bytes_limit", float("inf")))
