"""keras.applications on JAX; see frameworks.api.Prepares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from frameworks.blueprint import Network, has_batch_norm
from frameworks.jax import program
from frameworks.jax.program import JaxProgram
from frameworks.jax.program import devices as devices
from frameworks.recipes import Device, Execution
from frameworks.task import Task
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import Options
from frameworks.weights import Weights


def touch(device: Device) -> str:
    """See frameworks.api.Prepares. Also makes the device JAX's default, and raises MissingFramework without Keras."""
    name = program.touch(device)
    jax.config.update("jax_default_device", program.jax_device(device))
    keras_model.imported("jax")
    return name


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> JaxProgram:
    """See frameworks.api.Prepares. Raises Unsupported if Keras does not have the network."""
    precision = execution.precision
    program.require_precision(precision, execution.device)
    jax.config.update("jax_default_matmul_precision", "default" if precision == "tf32" else "highest")
    if precision == "fp64":
        jax.config.update("jax_enable_x64", True)
    options = Options(True if execution.recipe.name == "compiled" else None)
    model = keras_model.build("jax", network, weights, precision, options)
    state = {variable.path: variable.value for variable in model.variables}
    return JaxProgram(_predict(model), state, execution, has_batch_norm(network))


def _predict(model: Any) -> Callable[[Any, jax.Array], jax.Array]:
    """A function of the program's state and a batch; the state is unused, since the model has its own parameters."""
    return lambda _, batch: jnp.asarray(model.predict_on_batch(batch))
