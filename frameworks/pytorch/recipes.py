"""What each recipe means in PyTorch: its settings with their reasons, and the callable that a step runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.pytorch.model import Model, build
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Recipe, Substitution, inductor_lacks
from frameworks.weights import Weights

if TYPE_CHECKING:
    from frameworks.pytorch.inductor import Compilation

INFERENCE = ("torch.inference_mode", "no autograd bookkeeping")


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    settings: dict[str, tuple[tuple[str, str], ...]] = {
        "default": (INFERENCE, ("eager, NCHW", "as the documentation's first page shows")),
        "compiled": (INFERENCE, ("torch.compile(model)", "TorchInductor with its default options")),
        "tuned": (
            INFERENCE,
            ("channels-last memory format", "oneDNN's and cuDNN's convolutions run on it without reordering"),
            ("batch norm folded into convolutions", "one pass over each activation less; exact in real arithmetic"),
            *((("cudnn.benchmark", "picks the fastest convolution algorithm per shape"),) if device == "cuda" else ()),
        ),
    }
    return Recipe(name, settings[name])


def prepare(
    network: Network, weights: Weights, name: str, precision: Precision, device: str
) -> tuple[Model, Callable[[Tensor], Tensor], Compilation | None, tuple[Substitution, ...]]:
    """The model on the device, what a step calls, what is known of its compilation, and what could not be had."""
    if name == "tuned":
        network, weights = fold_batch_norm(network, weights)
    model = build(network, weights=weights, precision=precision).to(device)
    if name == "tuned":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks it
        torch.backends.cudnn.benchmark = device == "cuda"
    if name != "compiled":
        return model, model, None, ()
    missing = _missing_compiler(device)
    if missing:
        return model, model, None, (missing,)
    from frameworks.pytorch.inductor import Compilation  # importing TorchInductor takes a second

    return model, torch.compile(model), Compilation(), ()


def full_precision() -> None:
    """Float32 products in float32: TF32 off."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def _missing_compiler(device: str) -> Substitution | None:
    """TorchInductor writes C++ for a CPU and Triton for a GPU; without a compiler the model runs eagerly."""
    if device == "cpu":
        lacks = inductor_lacks()
        return Substitution("torch.compile", lacks, "eager") if lacks else None
    try:
        import triton  # noqa: F401
    except ImportError:
        return Substitution("torch.compile", "TorchInductor needs Triton on a GPU, it is not installed", "eager")
    return None


def require(device: str) -> None:
    """Raises Unsupported if PyTorch does not see the device."""
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda or "none"
        raise Unsupported(f"pytorch: no usable CUDA device (torch {torch.__version__}, built for CUDA: {built})")
