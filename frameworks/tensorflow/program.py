"""The capabilities of TensorFlow: running networks, ceilings of a device, outputs for `verify`, counting FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from frameworks.api import matmul_operands, synchronised_step
from frameworks.blueprint import Network, has_batch_norm
from frameworks.errors import Unsupported
from frameworks.manifest import NOT_STEPPED, Absent, DeviceMemory, Readings, Substitution, collect
from frameworks.process import configure_process, cpu_name, missing_bf16_unit
from frameworks.recipes import Device, Execution, Precision, require_tf32
from frameworks.rewrites import fold_batch_norm
from frameworks.task import INFER, Batch, Result, Task
from frameworks.tensorflow import build, settings
from frameworks.tensorflow.framework import TENSORFLOW
from frameworks.tensorflow.model import DTYPES
from frameworks.weights import Weights, running_statistics


def devices() -> tuple[Device, ...]:
    """See frameworks.api.Prepares."""
    return ("cpu", "cuda") if tf.config.list_physical_devices("GPU") else ("cpu",)


def touch(device: Device) -> str:
    """See frameworks.api.Prepares."""
    require_device(device)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    with tf.device(tf_device(device)):
        tf.zeros(1).numpy()
    if device == "cuda":
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    return cpu_name()


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> TensorFlowProgram:
    """See frameworks.api.Prepares."""
    device, choices = execution.device, execution.recipe.choices
    require_device(device)
    set_matmul_precision(execution.precision, device)
    missing = configure_process(TENSORFLOW, execution)

    normalised = has_batch_norm(network)
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    with tf.device(tf_device(device)):
        model = build(network, weights=weights, precision=execution.precision)

    def forward(x: tf.Tensor) -> tf.Tensor:  # one argument only: `settings.optimised_program` passes no other
        halves = tf.split(x, 2) if choices["images"] == "halved" and x.shape[0] and x.shape[0] % 2 == 0 else ()
        return tf.concat([model(half) for half in halves], 0) if halves else model(x)

    xla = choices["graph"] == "xla"
    function = tf.function(forward, jit_compile=True if xla else None)
    return TensorFlowProgram(
        function, model.variables, execution, normalised, xla=xla, frozen=choices["graph"] == "frozen",
        substitutions=missing,
    )  # fmt: skip


def set_matmul_precision(precision: Precision, device: Device) -> None:
    """Allow TF32 in float32 matmuls and convolutions for tf32, forbid it otherwise.

    Raises Unsupported for tf32 if the device has no TF32.
    """
    if precision == "tf32":
        capability: tuple[int, int] | None = None
        if device == "cuda":
            gpu = tf.config.list_physical_devices("GPU")[0]
            capability = tf.config.experimental.get_device_details(gpu).get("compute_capability")
        require_tf32("tensorflow", capability)
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")


def tf_device(device: Device) -> str:
    """TensorFlow's name for a device."""
    return "/GPU:0" if device == "cuda" else "/CPU:0"


def require_device(device: Device) -> None:
    """Raise Unsupported if TensorFlow does not see the device."""
    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        built = "with" if tf.test.is_built_with_cuda() else "without"
        raise Unsupported(f"tensorflow: no usable CUDA device (tensorflow {tf.__version__}, built {built} CUDA)")


class TensorFlowProgram:
    """A network on a device; see frameworks.api.Program.

    function: the tf.function that a step calls. normalised: whether the network has batch norm. xla: whether XLA
    compiles the whole graph. frozen: whether variables become constants when the function is traced.
    """

    def __init__(
        self, function: Any, variables: Sequence[tf.Variable], execution: Execution, normalised: bool, *,
        xla: bool = False, frozen: bool = False, substitutions: tuple[Substitution, ...] = (),
    ) -> None:  # fmt: skip
        self.function, self.variables = function, variables
        self.xla, self.frozen = xla, frozen
        self.normalised = normalised
        self.call: Any = function
        self.halved: bool | Absent = settings.NOT_TRACED
        self._missing = substitutions
        if execution.precision == "bf16" and execution.device == "cpu":
            self._missing += missing_bf16_unit("XLA" if xla else "oneDNN")
        self.dtype = DTYPES[execution.precision]
        self.device = execution.device
        self.layout_put = ""
        self.shape_put: tf.TensorShape | None = None
        self.output: tf.Tensor | None = None
        self._optimised: Any | Absent = NOT_STEPPED

    @property
    def runs_eagerly(self) -> bool:
        """Whether a step runs one operation after another: a traced graph does not, a third-party function may."""
        return self.call is self.function and tf.config.functions_run_eagerly()

    @property
    def substitutions(self) -> tuple[Substitution, ...]:
        """See frameworks.api.Program."""
        return (*self._missing, settings.EAGER) if self.runs_eagerly else self._missing

    def put(self, batch: Batch) -> tf.Tensor:
        """An NHWC tensor on the device, in the program's precision."""
        with tf.device(tf_device(self.device)):
            placed = tf.identity(tf.constant(batch.images, self.dtype))
        self.shape_put = placed.shape
        self.layout_put = "NHWC" if placed.shape[-1] == batch.images.shape[-1] else "NCHW"
        return placed

    def compile(self, batch: tf.Tensor) -> bool:
        """Trace the graph.

        Returns False if XLA compiles the graph within the first step, or if the function cannot be traced.
        """
        if not isinstance(self.function, tf.types.experimental.PolymorphicFunction):
            return False
        traced = self.function.get_concrete_function(tf.TensorSpec(batch.shape, batch.dtype))
        self.halved = any(op.type == "Split" for op in traced.graph.get_operations())
        self.call = traced
        if self.frozen:
            from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

            constant = convert_variables_to_constants_v2(traced)
            self.call = lambda batch: constant(batch)[0]
        return not self.xla

    def step(self, batch: tf.Tensor) -> tf.Tensor:
        return self.call(batch)

    def synchronise(self, output: tf.Tensor) -> None:
        self.output = output
        if self.device == "cuda":
            tf.test.experimental.sync_devices()

    def result(self, output: tf.Tensor) -> Result:
        wide = output if output.dtype == tf.float64 else tf.cast(output, tf.float32)
        return {"logits": wide.numpy()}

    def query(self, batch: Batch) -> Result:
        return self.result(synchronised_step(self, self.put(batch)))

    def device_step_s(self) -> float | None:
        return None

    def optimised(self) -> Any | Absent:
        """The HloProto that XLA generated for a step. The first call compiles the step once more."""
        if self.output is not None and self._optimised is NOT_STEPPED:
            with tf.device(tf_device(self.device)):
                batch = tf.zeros(self.shape_put, self.dtype)
            self._optimised = settings.optimised_program(self.function, batch, self.device)
        return self._optimised

    def readings(self) -> Readings:
        return collect(settings.readings(self), settings.compiled_readings(self), settings.NO_EVENTS)

    def reset_device_memory(self) -> None:
        if self.device == "cuda":
            tf.config.experimental.reset_memory_stats("GPU:0")

    def device_memory(self) -> DeviceMemory | None:
        if self.device != "cuda":
            return None
        return DeviceMemory(int(tf.config.experimental.get_memory_info("GPU:0")["peak"]), None)


def matmul(n: int, precision: Precision, device: Device) -> Callable[[], tf.Tensor]:
    """tf.matmul; see frameworks.api.HasCeilings."""
    require_device(device)
    set_matmul_precision(precision, device)
    with tf.device(tf_device(device)):
        left, right = (tf.constant(operand, DTYPES[precision]) for operand in matmul_operands(n))
    return lambda: _synchronised(tf.matmul(left, right), device)


def copy(size_bytes: int, device: Device) -> Callable[[], tf.Tensor]:
    """tf.raw_ops.DeepCopy; see frameworks.api.HasCeilings. tf.identity would return the same memory."""
    require_device(device)
    with tf.device(tf_device(device)):
        source = tf.ones(size_bytes // 4, tf.float32)
    return lambda: _synchronised(tf.raw_ops.DeepCopy(x=source), device)


def _synchronised(result: tf.Tensor, device: Device) -> tf.Tensor:
    """Wait until the device has computed a result, and return it."""
    if device == "cuda":
        tf.test.experimental.sync_devices()
    return result


def outputs(
    network: Network,
    weights: Weights,
    precision: Precision,
    batch: NDArray[np.floating[Any]],
    masks: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    block_inputs: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> Result:
    """See frameworks.api.Verifiable."""
    with tf.device("/CPU:0"):
        model = build(network, weights=weights, precision=precision)
        x = tf.constant(batch, DTYPES[precision])
        for path, mask in (masks or {}).items():
            reduce(getattr, path.split("."), model).mask = tf.constant(mask)
        forced = None
        if block_inputs is not None:
            forced = {name: tf.constant(array, DTYPES[precision]) for name, array in block_inputs.items()}
        blocks = model.blocks(x, masks is not None, forced)
        arrays = {name: block.numpy() for name, block in blocks.items()}
        return arrays if masks is None else arrays | running_statistics(model.weights())


def count_flops(network: Network, weights: Weights, batch: int) -> float:
    """Float operations of the graph as counted by TensorFlow's profiler; see frameworks.api.CountsFlops."""
    from tensorflow.python.profiler.internal import flops_registry  # noqa: F401  # registers the cost of each op

    program = prepare(network, weights, TENSORFLOW.execution("default", "fp32", "cpu"), INFER)
    images = tf.TensorSpec((batch, *network.input_shape), tf.float32)
    graph = program.function.get_concrete_function(images).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output()
    return float(profiler.profile(graph, options=options.build()).total_float_ops)
