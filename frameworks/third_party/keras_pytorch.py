"""keras.applications on PyTorch; see frameworks.api.Prepares."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frameworks.blueprint import Network, has_batch_norm
from frameworks.manifest import Substitution
from frameworks.pytorch import program
from frameworks.pytorch.framework import inductor_folder, missing_toolchain
from frameworks.pytorch.program import PyTorchProgram
from frameworks.pytorch.program import devices as devices
from frameworks.pytorch.settings import Compilation
from frameworks.recipes import Device, Execution
from frameworks.task import Task
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import Options
from frameworks.weights import Weights


def touch(device: Device) -> str:
    """See frameworks.api.Prepares. Also selects Keras' device, and raises MissingFramework without Keras."""
    name = program.touch(device)
    os.environ["KERAS_TORCH_DEVICE"] = device
    keras_model.imported("torch")
    return name


def prepare(network: Network, weights: Weights, execution: Execution, task: Task) -> PyTorchProgram:
    """See frameworks.api.Prepares. Raises Unsupported if Keras does not have the network."""
    device, recipe = execution.device, execution.recipe.name
    program.require_device(device)
    program.set_matmul_precision(execution.precision, device)
    missing = missing_toolchain(device, inductor_folder()) if recipe != "default" else None
    options = Options(True if recipe != "default" and not missing else None, recipe == "tuned")
    model = keras_model.build("torch", network, weights, execution.precision, options)
    return PyTorchProgram(
        model, _predict(model), execution, has_batch_norm(network),
        axes="NCHW" if options.channels_first else "NHWC",
        compilation=Compilation() if model.jit_compile else None,
        substitutions=(Substitution("torch.compile", missing, "eager"),) if missing else (),
    )  # fmt: skip


def _predict(model: Any) -> Callable[[Tensor], Tensor]:
    def predict(batch: Tensor) -> Tensor:
        logits = model.predict_on_batch(batch)
        if logits.dtype.name == "bfloat16":  # NumPy's bfloat16 (ml_dtypes), which torch.from_numpy does not accept
            return torch.from_numpy(logits.astype(np.float32)).bfloat16()
        return torch.from_numpy(logits)

    return predict
