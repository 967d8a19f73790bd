"""keras.applications on TensorFlow, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf

from frameworks.blueprint import Network, has_batch_norm
from frameworks.runtime import Precision, Recipe
from frameworks.tensorflow import recipes, runtime
from frameworks.tensorflow.recipes import Prepared
from frameworks.tensorflow.runtime import TensorFlowSubject
from frameworks.tensorflow.runtime import devices as devices
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import PREDICT, Options
from frameworks.weights import Weights

AUTOMATIC: Final = (
    "jit_compile automatic",
    "Keras' default: XLA on a machine with a GPU, a graph by grappler without one",
)
XLA: Final = ("compile(jit_compile=True)", "the whole graph through XLA, Keras' one switch for it")
SETTINGS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "default": (PREDICT, AUTOMATIC),
    "compiled": (PREDICT, XLA),
    "tuned": (PREDICT, AUTOMATIC, ("nothing else", "Keras offers no other setting on TensorFlow that bears on speed")),
}


def touch(device: str) -> str:
    """As TensorFlow's own runtime. Raises MissingFramework or Unsupported."""
    name = runtime.touch(device)
    keras_model.imported("tensorflow")
    return name


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return Recipe(name, SETTINGS[name])


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> TensorFlowSubject:
    """Keras' network on the device as the recipe says. Raises Unsupported if Keras does not have it."""
    recipes.require(device)
    recipes.set_products(precision, device)
    with tf.device(recipes.tf_device(device)):
        options = Options(True if recipe == "compiled" else None)
        model = keras_model.build("tensorflow", network, weights, precision, options)
    prepared = Prepared(_predict(model), [v.value for v in model.variables], bool(model.jit_compile))
    return TensorFlowSubject(prepared, has_batch_norm(network), precision, device)


def _predict(model: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda batch: tf.constant(model.predict_on_batch(batch))
