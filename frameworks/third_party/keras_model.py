"""keras.applications with our weights: code shared by the three backends.

Keras is imported inside functions, after its backend has been selected.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, Literal

from frameworks.blueprint import Network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.recipes import Precision
from frameworks.third_party import keras_layers
from frameworks.weights import Weights

Backend = Literal["torch", "tensorflow", "jax"]
POLICIES: Final = {"fp64": "float64", "fp32": "float32", "tf32": "float32", "bf16": "mixed_bfloat16"}


@dataclass(frozen=True, slots=True)
class Options:
    """Keras' settings for a recipe. jit: jit_compile, None for the default. channels_first: layout of activations."""

    jit: bool | None = None
    channels_first: bool = False


def imported(backend: Backend) -> Any:
    """Import Keras with this backend.

    Raises MissingFramework, or Unsupported if this process has imported Keras with another backend.
    """
    os.environ["KERAS_BACKEND"] = backend
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingFramework(f"keras: module '{error.name}' is not installed; pip install keras") from error
    found = keras.config.backend()
    if found != backend:
        raise Unsupported(f"keras: this process has it on {found} already, expected {backend}")
    return keras


def build(backend: Backend, network: Network, weights: Weights, precision: Precision, options: Options) -> Any:
    """Build Keras' model with our weights, ready to predict. Raises Unsupported if Keras does not have the network."""
    keras = imported(backend)
    if not keras_layers.covers(network.name, network.variant):
        raise Unsupported(
            f"keras.applications has no {network.name}, {network.variant}; expected the default variant of "
            f"{', '.join(keras_layers.APPLICATIONS)}"
        )
    keras.config.set_dtype_policy(POLICIES[precision])
    keras.config.set_floatx("float64" if precision == "fp64" else "float32")
    keras.config.set_image_data_format("channels_first" if options.channels_first else "channels_last")
    height, width, channels = network.input_shape
    shape = (channels, height, width) if options.channels_first else network.input_shape
    model = keras_layers.build(keras.applications, network, shape)
    keras_layers.assign(keras_layers.layers_of(network, model), weights)
    if options.jit is not None:
        model.compile(jit_compile=options.jit)
    return model
