"""The capabilities of JAX: running networks, ceilings of a device, outputs for `verify`, counting FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from frameworks.api import matmul_operands, synchronised_step
from frameworks.blueprint import Network, has_batch_norm
from frameworks.errors import Unsupported
from frameworks.jax import build, settings
from frameworks.jax.framework import JAX
from frameworks.jax.layers import ConvLowering, Dropout, to_canonical
from frameworks.jax.model import DTYPES, numeric_policy
from frameworks.manifest import DeviceMemory, Readings, Substitution, collect
from frameworks.process import configure_process, cpu_name, missing_bf16_unit
from frameworks.recipes import AUTOMATIC, Device, Execution, Precision, require_tf32
from frameworks.rewrites import fold_batch_norm
from frameworks.task import INFER, Batch, Result, Task
from frameworks.weights import Weights, running_statistics

VECTORS: Final = "xla_cpu_prefer_vector_width"  # bits; XLA's own name
LOWERINGS: Final = tuple(field.name for field in fields(ConvLowering))


def devices() -> tuple[Device, ...]:
    """See frameworks.api.Prepares."""
    try:
        jax_device("cuda")
    except Unsupported:
        return ("cpu",)
    return ("cpu", "cuda")


def touch(device: Device) -> str:
    """See frameworks.api.Prepares."""
    found = jax_device(device)
    jax.device_put(np.zeros(1, np.float32), found).block_until_ready()
    return cpu_name() if device == "cpu" else str(found.device_kind)


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> JaxProgram:
    """See frameworks.api.Prepares."""
    device, choices = execution.device, execution.recipe.choices
    require_precision(execution.precision, device)
    missing = configure_process(JAX, execution)

    normalised = has_batch_norm(network)
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    lowered: Any = {name: choices[name] for name in LOWERINGS}
    lowering = ConvLowering(**lowered)
    with jax.default_device(jax_device(device)):
        model = build(network, weights=weights, precision=execution.precision, lowering=lowering)
    graph, state = nnx.split(model)
    vectors = choices["vectors"]
    options = {VECTORS: int(vectors)} if vectors != AUTOMATIC and device == "cpu" else {}
    function = jax.jit(lambda state, x: nnx.merge(graph, state)(x), compiler_options=options or None)
    return JaxProgram(
        function, state, execution, normalised, lowering=lowering, options=options, substitutions=missing
    )


def require_precision(precision: Precision, device: Device) -> None:
    """Raise Unsupported for tf32 if the device has no TF32."""
    if precision == "tf32":
        found = getattr(jax_device(device), "compute_capability", None) if device == "cuda" else None
        major, _, minor = str(found).partition(".")
        require_tf32("jax", (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None)


def jax_device(device: Device) -> jax.Device:
    """JAX's object for a device. Raises Unsupported if JAX does not see it."""
    try:
        return jax.devices("cuda" if device == "cuda" else "cpu")[0]
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise Unsupported(f"jax: no usable CUDA device (jax {jax.__version__}): {why}") from error


class JaxProgram:
    """A network on a device; see frameworks.api.Program.

    function: jitted, (state, batch) -> logits. state: the parameters, arrays by path. normalised: whether the network
    has batch norm. lowering: of convolutions; None in a third-party implementation.
    options: options of XLA that differ from its defaults.
    """

    def __init__(
        self, function: Any, state: Any, execution: Execution, normalised: bool, *,
        lowering: ConvLowering | None = None, options: Mapping[str, int] = MappingProxyType({}),
        substitutions: tuple[Substitution, ...] = (),
    ) -> None:  # fmt: skip
        self.function, self.state, self.lowering = function, state, lowering
        self.options = options
        self.normalised = normalised
        self.call: Any = function
        self.stablehlo = ""  # the compiled step, from which settings are read
        self.substitutions = substitutions
        if settings.jit_is_off():
            self.substitutions += (settings.JIT_OFF,)
        if execution.precision == "bf16" and execution.device == "cpu":
            self.substitutions += missing_bf16_unit("XLA")
        self.dtype = DTYPES[execution.precision]
        self.device = jax_device(execution.device)
        self.layout_put = ""
        self.cache = ""  # state of the compilation cache, once compiled
        self.output: jax.Array | None = None
        stats = self.device.memory_stats() or {}
        self.preallocated = bool(2 * stats.get("pool_bytes", 0) > stats.get("bytes_limit", float("inf")))

    def put(self, batch: Batch) -> jax.Array:
        """An NHWC array on the device, in the program's precision."""
        placed = jax.device_put(batch.images.astype(self.dtype), self.device)
        self.layout_put = "NHWC" if placed.shape[-1] == batch.images.shape[-1] else "NCHW"
        return placed

    def compile(self, batch: jax.Array) -> bool:
        """Lower and compile for the batch's shape. Returns False if the function is not jitted, or jit is off."""
        if settings.jit_is_off() or not isinstance(self.function, jax.stages.Wrapped):
            return False
        lowered = self.function.lower(self.state, batch)
        hits = settings.cache_hits()
        self.call = lowered.compile()
        self.stablehlo = lowered.as_text()
        self.cache = settings.cache_state(hits)
        return True

    def step(self, batch: jax.Array) -> jax.Array:
        output: jax.Array = self.call(self.state, batch)
        return output

    def synchronise(self, output: jax.Array) -> None:
        self.output = output
        output.block_until_ready()

    def result(self, output: jax.Array) -> Result:
        return {"logits": np.asarray(output if output.dtype == jnp.float64 else output.astype(jnp.float32))}

    def query(self, batch: Batch) -> Result:
        return self.result(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        return None

    def readings(self) -> Readings:
        return collect(settings.readings(self), settings.compiled_readings(self), settings.NO_EVENTS)

    def reset_device_memory(self) -> None:
        """XLA's counters cannot be reset: they are peaks since the start of the process."""

    def device_memory(self) -> DeviceMemory | None:
        stats = self.device.memory_stats()
        if self.device.platform == "cpu" or not stats:
            return None
        return DeviceMemory(stats.get("peak_bytes_in_use"), stats.get("peak_pool_bytes"))


def matmul(n: int, precision: Precision, device: Device) -> Callable[[], jax.Array]:
    """A jitted jnp.matmul; see frameworks.api.HasCeilings."""
    target = jax_device(device)
    require_precision(precision, device)
    if precision == "fp64":
        jax.config.update("jax_enable_x64", True)
    policy = numeric_policy(precision)
    left, right = (jax.device_put(operand.astype(policy.dtype), target) for operand in matmul_operands(n))
    multiply = jax.jit(lambda left, right: jnp.matmul(left, right, precision=policy.matmul))
    return lambda: multiply(left, right).block_until_ready()


def copy(size_bytes: int, device: Device) -> Callable[[], jax.Array]:
    """A jitted jnp.copy into the donated memory of the previous copy; see frameworks.api.HasCeilings."""
    with jax.default_device(jax_device(device)):
        source = jnp.ones(size_bytes // 4, jnp.float32)
        targets = [jnp.zeros_like(source)]
    write = jax.jit(lambda source, target: jnp.copy(source), donate_argnums=1, keep_unused=True)

    def duplicate() -> jax.Array:
        targets.append(write(source, targets.pop()).block_until_ready())
        return targets[0]

    return duplicate


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    block_inputs: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> Result:
    """See frameworks.api.Verifiable."""
    with jax.default_device(jax_device("cpu")):
        model = build(network, weights=weights, precision=precision)
        dtype = DTYPES[precision]
        x = jnp.asarray(batch, dtype)
        if masks is not None:
            model.train()
            for path, mask in masks.items():
                dropout = reduce(getattr, path.split("."), model)
                assert isinstance(dropout, Dropout)
                dropout.mask = jnp.asarray(mask)
        forced = None
        if block_inputs is not None:
            forced = {name: jnp.asarray(array, dtype) for name, array in block_inputs.items()}
        with _quick_compilation():
            blocks = model.blocks(x, forced)
        arrays = {name: to_canonical(block) for name, block in blocks.items()}
        return arrays if masks is None else arrays | running_statistics(model.weights())


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Compile with fewer optimisations, for code that runs only once."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """FLOPs by XLA's cost analysis of the program before XLA optimises it; see frameworks.api.CountsFlops."""
    program = prepare(network, weights, JAX.execution("default", "fp32", "cpu"), INFER)
    images = jax.ShapeDtypeStruct((batch, *network.input_shape), jnp.float32)
    return float(program.function.lower(program.state, images).cost_analysis()["flops"])
