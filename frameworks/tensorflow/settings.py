"""Settings read back from TensorFlow, under the names of frameworks.manifest, and figures of compiled programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from frameworks.manifest import (
    NO_BATCH_NORM,
    NO_GRAPHS_ON_CPU,
    NO_PREALLOCATION,
    NOT_COMPILED,
    NOT_ON_GPU,
    NOT_PUT,
    NOT_STEPPED,
    Absent,
    Reading,
    Substitution,
    nothing_compiled,
    usable_amx,
)
from frameworks.process import arithmetic, cpu_flags, memory_kept, usable_cores
from frameworks.tensorflow.framework import TENSORFLOW

if TYPE_CHECKING:
    from frameworks.tensorflow.program import TensorFlowProgram

ONE_SWITCH: Final = Absent("TensorFlow has one switch for it, which is tf32")
BY_RULE: Final = Absent("oneDNN and XLA pick their kernels by rule on a CPU")
NO_DONATION: Final = Absent("tf.function has no donation of arguments")
NO_EVENTS: Final = Absent("TensorFlow has no events on the device's clock")
NOT_TRACED: Final = Absent("no graph has been traced ahead")
NOT_OURS: Final = Absent("the implementation is not xibench's own and keeps XLA's program to itself")
CLUSTERS: Final = Absent("TF_XLA_FLAGS asks for clusters compiled by XLA, and TensorFlow does not tell what is in them")
EAGER: Final = Substitution("tf.function", "tf.config.run_functions_eagerly switches it off", "eager")
NO_CODE_SIZE: Final = Absent("TensorFlow does not tell the size of XLA's code")


def readings(program: TensorFlowProgram) -> dict[str, Reading]:
    """Every setting of the manifest, and those that only TensorFlow has."""
    variables, output = program.variables, program.output
    on_gpu = program.device == "cuda"
    asked = os.environ.get(TENSORFLOW.threads_variable or "", "")
    configured = tf.config.threading.get_intra_op_parallelism_threads() or (int(asked) if asked.isdecimal() else 0)
    output_device = "cuda" if output is not None and "GPU" in output.device else "cpu"
    return {
        "layout": program.layout_put or NOT_PUT,
        "compiler": _compiler(program),
        "compile_scope": "none" if program.runs_eagerly else "forward",
        "batch_norm_folded": (
            not any("variance" in v.name for v in variables) if program.normalised else NO_BATCH_NORM
        ),
        "kernel_dtype": next(v.dtype.name for v in variables if v.shape.rank == 4),
        "output_dtype": NOT_STEPPED if output is None else output.dtype.name,
        "output_device": NOT_STEPPED if output is None else output_device,
        "results_copied_to_host": NOT_STEPPED if output is None else output_device != program.device,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "matmul_precision": ONE_SWITCH,
        "autotuning": _autotuning(program) if on_gpu else BY_RULE,
        "graphs": _graphs(program) if on_gpu else NO_GRAPHS_ON_CPU,
        "onednn": NOT_ON_GPU if on_gpu else _onednn(program),
        "amx": NOT_ON_GPU if on_gpu else usable_amx(cpu_flags(), "TensorFlow"),
        "threads": configured or usable_cores(),  # TensorFlow's default
        "interop_threads": tf.config.threading.get_inter_op_parallelism_threads() or "automatic",
        "memory_kept": memory_kept(),
        **arithmetic(lambda left, right: _product(left, right, program)),
        "donated_buffers": NO_DONATION,
        "compilation_cache": _cache() if program.xla and not program.runs_eagerly else NOT_COMPILED,
        "preallocation": _preallocated() if on_gpu else NO_PREALLOCATION,
        "threads_configured": configured or "automatic",
        "constants": program.frozen,
        "halves_at_once": program.halved,
    }


def compiled_readings(program: TensorFlowProgram) -> dict[str, int | Absent]:
    """XLA's buffer assignment for a step."""
    if not program.xla or program.runs_eagerly:
        return nothing_compiled()
    optimised = program.optimised()
    if isinstance(optimised, Absent):
        return dict.fromkeys(nothing_compiled(), optimised)
    arguments, outputs, scratch = 0, 0, 0
    for buffer in optimised.buffer_assignment.buffer_allocations:
        if buffer.is_entry_computation_parameter:
            arguments += buffer.size
        elif buffer.maybe_live_out:
            outputs += buffer.size
        elif not (buffer.is_constant or buffer.is_thread_local):
            scratch += buffer.size
    return {
        "compiled_temporary_bytes": scratch,
        "compiled_argument_bytes": arguments,
        "compiled_output_bytes": outputs,
        "compiled_code_bytes": NO_CODE_SIZE,
    }


def optimised_program(function: Any, batch: tf.Tensor, device: str) -> Any | Absent:
    """Compile a tf.function with XLA once more and return its HloProto, which includes the buffer assignment."""
    from tensorflow.compiler.xla.service import hlo_pb2

    if not isinstance(function, tf.types.experimental.PolymorphicFunction):
        return NOT_OURS

    platform = "CUDA" if device == "cuda" else "CPU"
    try:
        lower = function.experimental_get_compiler_ir(batch)
        serialised = lower(stage="optimized_hlo_proto_serialized", platform_name=platform)
    except (tf.errors.OpError, ValueError) as error:
        return Absent(f"TensorFlow does not give XLA's program: {' '.join(str(error).split())[:200]}")
    return hlo_pb2.HloProto.FromString(serialised)


def _compiler(program: TensorFlowProgram) -> Reading:
    if program.runs_eagerly:
        return "none"
    if program.xla:
        return "xla"
    return CLUSTERS if "tf_xla_auto_jit" in os.environ.get("TF_XLA_FLAGS", "") else "none"


def _product(left: NDArray[np.float32], right: NDArray[np.float32], program: TensorFlowProgram) -> NDArray[np.float32]:
    multiply = tf.function(lambda x, y: x * y, jit_compile=True if program.xla else None)
    with tf.device("/GPU:0" if program.device == "cuda" else "/CPU:0"):
        product: NDArray[np.float32] = multiply(tf.constant(left), tf.constant(right)).numpy()
    return product


def _onednn(program: TensorFlowProgram) -> Reading:
    if program.xla:
        optimised = program.optimised()
        return optimised if isinstance(optimised, Absent) else b"__onednn$" in optimised.SerializeToString()
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def _autotuning(program: TensorFlowProgram) -> Reading:
    if program.xla:
        return Absent("TensorFlow does not tell whether XLA times its kernels")
    return os.environ.get("TF_CUDNN_USE_AUTOTUNE", "1").lower() not in ("0", "false")


def _graphs(program: TensorFlowProgram) -> Reading:
    if program.xla:
        return Absent("TensorFlow does not tell whether XLA makes command buffers")
    return Absent("TensorFlow has no CUDA graphs outside XLA")


def _cache() -> Reading:
    if "tf_xla_persistent_cache_directory" in os.environ.get("TF_XLA_FLAGS", ""):
        return Absent("TF_XLA_FLAGS names a disk cache, and TensorFlow does not tell what came from it")
    return "off"


def _preallocated() -> bool:
    """Whether TensorFlow reserves most of the GPU's memory; the variable takes precedence over the program's call."""
    variable = os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH")
    if variable is not None:
        return variable.lower() != "true"
    return not tf.config.experimental.get_memory_growth(tf.config.list_physical_devices("GPU")[0])
