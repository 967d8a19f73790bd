"""keras.applications on PyTorch, behind the protocol of frameworks.runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from frameworks.blueprint import Network, has_batch_norm
from frameworks.pytorch import recipes, runtime
from frameworks.pytorch.recipes import Prepared
from frameworks.pytorch.runtime import PyTorchSubject
from frameworks.pytorch.runtime import devices as devices
from frameworks.runtime import Precision, Recipe
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import PREDICT, Options
from frameworks.weights import Weights

EAGER: Final = ("eager, channels_last", "Keras' defaults: on PyTorch it compiles nothing unless it is asked")
COMPILED: Final = ("compile(jit_compile=True)", "torch.compile with its default options, Keras' one switch for it")
FIRST: Final = (
    "image_data_format channels_first",
    "PyTorch's own order of axes; else Keras transposes around each layer",
)
SETTINGS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "default": (PREDICT, EAGER),
    "compiled": (PREDICT, COMPILED),
    "tuned": (PREDICT, COMPILED, FIRST),
}


def touch(device: str) -> str:
    """As PyTorch's own runtime; Keras is told the device. Raises MissingFramework or Unsupported."""
    name = runtime.touch(device)
    os.environ["KERAS_TORCH_DEVICE"] = device
    keras_model.imported("torch")
    return name


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return Recipe(name, SETTINGS[name])


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> PyTorchSubject:
    """Keras' network on the device as the recipe says. Raises Unsupported if Keras does not have it."""
    recipes.require(device)
    recipes.set_products(precision, device)
    lacking = recipes.missing_compiler(device) if recipe != "default" else None
    options = Options(True if recipe != "default" and not lacking else None, recipe == "tuned")
    model = keras_model.build("torch", network, weights, precision, options)
    compilation = recipes.compilation() if model.jit_compile else None
    prepared = Prepared(
        model, _predict(model), axes="NCHW" if options.channels_first else "NHWC", compilation=compilation,
        substitutions=(lacking,) if lacking else (),
    )  # fmt: skip
    return PyTorchSubject(prepared, has_batch_norm(network), precision, device)


def _predict(model: Any) -> Callable[[Tensor], Tensor]:
    def predict(batch: Tensor) -> Tensor:
        logits = model.predict_on_batch(batch)
        if logits.dtype.name == "bfloat16":  # NumPy's, which PyTorch does not take
            return torch.from_numpy(logits.astype(np.float32)).bfloat16()
        return torch.from_numpy(logits)

    return predict
