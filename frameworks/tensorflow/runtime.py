"""TensorFlow behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from frameworks.blueprint import Network, has_batch_norm
from frameworks.manifest import NOT_STEPPED, Absent, CompiledMemory, Setting, compiled_memory, present, reasons
from frameworks.runtime import DeviceMemory, Precision, bf16_on_cpu, cpu_name, synchronised_step
from frameworks.tensorflow import recipes, settings
from frameworks.tensorflow.ceilings import copy as copy
from frameworks.tensorflow.ceilings import product as product
from frameworks.tensorflow.model import DTYPES, build
from frameworks.tensorflow.recipes import Prepared
from frameworks.tensorflow.recipes import recipe as recipe
from frameworks.weights import Weights, running_statistics


def devices() -> tuple[str, ...]:
    """The devices that TensorFlow sees."""
    return ("cpu", "cuda") if tf.config.list_physical_devices("GPU") else ("cpu",)


def touch(device: str) -> str:
    """Initialises the device and returns its name. Raises Unsupported if TensorFlow does not see it."""
    recipes.require(device)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    with tf.device(recipes.tf_device(device)):
        tf.zeros(1).numpy()
    if device == "cuda":
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    return cpu_name()


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> TensorFlowSubject:
    """The network on the device as the recipe says. Raises Unsupported if TensorFlow does not see the device."""
    recipes.require(device)
    recipes.set_products(precision, device)
    prepared = recipes.prepare(network, weights, recipe, precision, device)
    return TensorFlowSubject(prepared, has_batch_norm(network), precision, device)


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """What TensorFlow's profiler has as float operations of the graph; see frameworks.runtime.Runtime."""
    from tensorflow.python.profiler.internal import flops_registry  # noqa: F401  # tells the profiler what an op costs

    subject = prepare(network, weights, "default", "fp32", "cpu")
    images = tf.TensorSpec((batch, *network.input_shape), tf.float32)
    graph = subject.function.get_concrete_function(images).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output()
    return float(profiler.profile(graph, options=options.build()).total_float_ops)


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> dict[str, NDArray[np.floating[Any]]]:
    """One forward pass on the CPU for `verify`; see frameworks.runtime.Runtime."""
    with tf.device("/CPU:0"):
        model = build(network, weights=weights, precision=precision)
        x = tf.constant(batch, DTYPES[precision])
        for path, mask in (masks or {}).items():
            reduce(getattr, path.split("."), model).mask = tf.constant(mask)
        forced = None
        if given is not None:
            forced = {name: tf.constant(array, DTYPES[precision]) for name, array in given.items()}
        blocks = model.blocks(x, masks is not None, forced)
        arrays = {name: block.numpy() for name, block in blocks.items()}
        return arrays if masks is None else arrays | running_statistics(model.weights())


class TensorFlowSubject:
    """A network as a recipe prepared it, on a device. normalised: whether the network has batch norm."""

    def __init__(self, prepared: Prepared, normalised: bool, precision: Precision, device: str) -> None:
        self.function, self.variables = prepared.function, prepared.variables
        self.xla, self.frozen = prepared.xla, prepared.frozen
        self.normalised = normalised
        self.call: Any = self.function
        self.halved: bool | Absent = settings.NOT_TRACED
        library = "XLA" if self.xla else "oneDNN"
        self.substitutions = (*prepared.substitutions, *bf16_on_cpu(library, precision, device))
        self.dtype = DTYPES[precision]
        self.device = device
        self.layout_put = ""
        self.shape_put: tf.TensorShape | None = None
        self.output: tf.Tensor | None = None
        self._program: Any | Absent = NOT_STEPPED

    def put(self, batch: NDArray[np.float32]) -> tf.Tensor:
        """A NHWC tensor on the device, in the subject's precision."""
        with tf.device(recipes.tf_device(self.device)):
            placed = tf.identity(tf.constant(batch, self.dtype))
        self.shape_put = placed.shape
        self.layout_put = "NHWC" if placed.shape[-1] == batch.shape[-1] else "NCHW"
        return placed

    def compile(self, batch: tf.Tensor) -> bool:
        """Traces the graph; True unless XLA compiles it within the first step, or the function cannot be traced."""
        if not isinstance(self.function, tf.types.experimental.PolymorphicFunction):
            return False
        traced = self.function.get_concrete_function(tf.TensorSpec(batch.shape, batch.dtype))
        self.halved = recipes.halves(traced)
        self.call = recipes.frozen(traced) if self.frozen else traced
        return not self.xla

    def step(self, batch: tf.Tensor) -> tf.Tensor:
        return self.call(batch)

    def synchronise(self, output: tf.Tensor) -> None:
        self.output = output
        if self.device == "cuda":
            tf.test.experimental.sync_devices()

    def fetch(self, output: tf.Tensor) -> NDArray[np.floating]:
        wide = output if output.dtype == tf.float64 else tf.cast(output, tf.float32)
        return wide.numpy()

    def query(self, batch: NDArray[np.float32]) -> NDArray[np.floating]:
        return self.fetch(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        return None

    def optimised(self) -> Any | Absent:
        """The program that XLA made of a step, an HloProto. Compiles it once more, the first time that it is asked."""
        if self.output is not None and self._program is NOT_STEPPED:
            with tf.device(recipes.tf_device(self.device)):
                batch = tf.zeros(self.shape_put, self.dtype)
            self._program = settings.optimised_program(self.function, batch, self.device)
        return self._program

    def settings(self) -> dict[str, Setting]:
        return present(settings.readings(self))

    def compiled_memory(self) -> CompiledMemory:
        return compiled_memory(settings.compiled_readings(self))

    def absent(self) -> dict[str, str]:
        device = {"device_steps_s": settings.NO_EVENTS}
        return reasons(settings.readings(self) | settings.compiled_readings(self) | device)

    def reset_device_memory(self) -> None:
        if self.device == "cuda":
            tf.config.experimental.reset_memory_stats("GPU:0")

    def device_memory(self) -> DeviceMemory | None:
        if self.device != "cuda":
            return None
        return DeviceMemory(int(tf.config.experimental.get_memory_info("GPU:0")["peak"]), None)
