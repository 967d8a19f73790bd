"""keras.applications on TensorFlow; see frameworks.api.Prepares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from frameworks.blueprint import Network, has_batch_norm
from frameworks.recipes import Device, Execution
from frameworks.task import Task
from frameworks.tensorflow import program
from frameworks.tensorflow.program import TensorFlowProgram
from frameworks.tensorflow.program import devices as devices
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import Options
from frameworks.weights import Weights


def touch(device: Device) -> str:
    """See frameworks.api.Prepares. Also raises MissingFramework without Keras."""
    name = program.touch(device)
    keras_model.imported("tensorflow")
    return name


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> TensorFlowProgram:
    """See frameworks.api.Prepares. Raises Unsupported if Keras does not have the network."""
    device = execution.device
    program.require_device(device)
    program.set_matmul_precision(execution.precision, device)
    with tf.device(program.tf_device(device)):
        options = Options(True if execution.recipe.name == "compiled" else None)
        model = keras_model.build("tensorflow", network, weights, execution.precision, options)
    variables = [variable.value for variable in model.variables]
    return TensorFlowProgram(
        _predict(model), variables, execution, has_batch_norm(network), xla=bool(model.jit_compile)
    )


def _predict(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda batch: tf.constant(model.predict_on_batch(batch))
