"""What each recipe means in TensorFlow: its settings with their reasons, and the function that a step runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Recipe
from frameworks.tensorflow.model import Model, build
from frameworks.weights import Weights


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    settings: dict[str, tuple[tuple[str, str], ...]] = {
        "default": (("tf.function", "a graph, optimised by grappler, as the guide on performance begins"),),
        "compiled": (("tf.function(jit_compile=True)", "the whole graph through XLA"),),
        "tuned": (
            ("tf.function", "a graph whose convolutions are oneDNN's or cuDNN's"),
            ("batch norm folded into convolutions", "one pass over each activation less; exact in real arithmetic"),
        ),
    }
    return Recipe(name, settings[name])


def prepare(
    network: Network, weights: Weights, name: str, precision: Precision, device: str
) -> tuple[Model, Any]:
    """The model on the device, and the tf.function that a step runs."""
    if name == "tuned":
        network, weights = fold_batch_norm(network, weights)
    with tf.device(tf_device(device)):
        model = build(network, weights=weights, precision=precision)

    def forward(x: tf.Tensor) -> tf.Tensor:  # its one argument is all that XLA's program can be asked for with
        return model(x)

    return model, tf.function(forward, jit_compile=True if name == "compiled" else None)


def full_precision() -> None:
    """Float32 products in float32: TF32 off."""
    tf.config.experimental.enable_tensor_float_32_execution(False)


def tf_device(device: str) -> str:
    """TensorFlow's name for a device."""
    return "/GPU:0" if device == "cuda" else "/CPU:0"


def require(device: str) -> None:
    """Raises Unsupported if TensorFlow does not see the device."""
    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        built = "with" if tf.test.is_built_with_cuda() else "without"
        raise Unsupported(f"tensorflow: no usable CUDA device (tensorflow {tf.__version__}, built {built} CUDA)")
