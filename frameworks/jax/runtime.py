"""JAX behind the protocol of frameworks.runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.jax import recipes
from frameworks.jax.layers import Dropout, to_canonical
from frameworks.jax.model import DTYPES, Model, build
from frameworks.jax.recipes import recipe as recipe
from frameworks.runtime import DeviceMemory, Precision, Setting, Substitution, bf16_on_cpu, cpu_name
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
    return JaxSubject(network, weights, recipe, precision, device)


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    mask: NDArray[np.floating[Any]] | None = None,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """One forward pass on the CPU for `verify`; see frameworks.runtime.Runtime."""
    with jax.default_device(recipes.jax_device("cpu")):
        model = build(network, weights=weights, precision=precision)
        dtype = DTYPES[precision]
        x = jnp.asarray(batch, dtype)
        if mask is not None:
            model.train()
            _dropout(model).mask = jnp.asarray(mask)
        forced = None if given is None else {name: jnp.asarray(array, dtype) for name, array in given.items()}
        with _quick_compilation():
            blocks = model.blocks(x, forced)
        arrays = {name: to_canonical(block) for name, block in blocks.items()}
        return arrays if mask is None else arrays | running_statistics(model.weights())


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Less optimisation: what is compiled here runs once. What a run times is compiled as usual."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def _dropout(model: Model) -> Dropout:
    found = reduce(getattr, ("head", "dropout"), model)
    assert isinstance(found, Dropout)
    return found


class JaxSubject:
    """A Model's state and the jitted function that a step runs."""

    def __init__(self, network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> None:
        self.model, self.state, self.function = recipes.prepare(network, weights, recipe, precision, device)
        self.call: Any = self.function
        self.program = ""  # StableHLO, once compiled: what settings are read from
        self.substitutions: tuple[Substitution, ...] = bf16_on_cpu("XLA", precision, device)
        self.dtype = DTYPES[precision]
        self.device = recipes.jax_device(device)
        self.layout_put = ""
        self.output: jax.Array | None = None

    def put(self, batch: NDArray[np.float32]) -> jax.Array:
        """A NHWC array on the device, in the subject's precision."""
        placed = jax.device_put(batch.astype(self.dtype), self.device)
        self.layout_put = "NHWC" if placed.shape[-1] == batch.shape[-1] else "NCHW"
        return placed

    def compile(self, batch: jax.Array) -> bool:
        """Lowers and compiles for the batch's shape."""
        lowered = self.function.lower(self.state, batch)
        self.program = lowered.as_text()
        self.call = lowered.compile()
        return True

    def step(self, batch: jax.Array) -> jax.Array:
        output: jax.Array = self.call(self.state, batch)
        return output

    def synchronise(self, output: jax.Array) -> None:
        self.output = output
        output.block_until_ready()

    def fetch(self, output: jax.Array) -> NDArray[np.floating]:
        return np.asarray(output if output.dtype == jnp.float64 else output.astype(jnp.float32))

    def settings(self) -> dict[str, Setting]:
        leaves = jax.tree_util.tree_leaves_with_path(self.state)
        names = [jax.tree_util.keystr(path) for path, _ in leaves]
        kernel = next(leaf for name, (_, leaf) in zip(names, leaves, strict=True) if "kernel" in name)
        forms = self.model.forms
        return {
            "layout": self.layout_put,
            "batch_norm_folded": not any("variance" in name for name in names),
            "compiler": "xla",
            "depthwise_form": forms.depthwise,
            "pointwise_form": forms.pointwise,
            "tf32": allows_tf32(self.program) if self.program else None,
            "threads": _threads("tf_XLAEigen"),
            "x64": bool(jax.config.jax_enable_x64),  # type: ignore[attr-defined]
            "donated_buffers": "jax.buffer_donor" in self.program or "tf.aliasing_output" in self.program,
            "kernel_dtype": str(kernel.dtype),
            "compilation_cache": jax.config.jax_compilation_cache_dir,  # type: ignore[attr-defined]
            "output_device": None if self.output is None else _device_kind(self.output),
            "output_dtype": None if self.output is None else str(self.output.dtype),
        }

    def reset_device_memory(self) -> None:
        """XLA's counters cannot be reset: they hold the process's peak."""

    def device_memory(self) -> DeviceMemory | None:
        stats = self.device.memory_stats()
        if self.device.platform == "cpu" or not stats:
            return None
        return DeviceMemory(stats.get("peak_bytes_in_use"), stats.get("peak_pool_bytes"))


def allows_tf32(program: str) -> bool:
    """Whether any matrix product or convolution of a StableHLO program may run below full float32 precision.

    A product says so as `precision = [DEFAULT, DEFAULT]`, a convolution as `#stablehlo<precision DEFAULT>`.
    """
    return re.search(r"precision (?:= \[[A-Z, ]*)?\b(?:DEFAULT|HIGH)\b", program) is not None


def _threads(name: str) -> int | None:
    """How many of this process's threads carry a name (Linux); XLA tells its number of threads in no other way."""
    try:
        names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    except OSError:
        return None
    return names.count(name) or None


def _device_kind(array: jax.Array) -> str:
    return "cpu" if next(iter(array.devices())).platform == "cpu" else "cuda"
