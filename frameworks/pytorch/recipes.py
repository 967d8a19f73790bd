"""What each recipe means in PyTorch: its settings with their reasons, and the callable that a step runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from frameworks import allocator, recipes
from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.precision import require as require_precision
from frameworks.pytorch.model import build
from frameworks.recipes import Recipe
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Substitution, inductor_lacks
from frameworks.weights import Weights

if TYPE_CHECKING:
    from frameworks.pytorch.inductor import Compilation

MOST_NETWORKS: Final = 256
LAYOUTS: Final = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}
OPTIONS: Final = {
    "freezing": {("compiler", "frozen")},
    "max_autotune": {("autotuning", "on")},
    "triton.cudagraphs": {("graphs", "on")},
}
"""TorchInductor's options, each with the choice that turns it on."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network as a recipe made it.

    model: holds the parameters. call: what a step calls. axes, layout: of the batches that it takes, and how they lie
    in memory. compilation: what is known of it, None if nothing is compiled. substitutions: what could not be had.
    """

    model: nn.Module
    call: Callable[[Tensor], Tensor]
    axes: Literal["NCHW", "NHWC"] = "NCHW"
    layout: torch.memory_format = torch.contiguous_format
    compilation: Compilation | None = None
    substitutions: tuple[Substitution, ...] = ()


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return recipes.recipe("pytorch", name, device)


def prepare(network: Network, weights: Weights, name: str, precision: Precision, device: str) -> Prepared:
    """The network on the device as the recipe says."""
    chosen = recipe(name, device)
    choices = chosen.choices
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    if choices["threads"] != recipes.AUTOMATIC:
        torch.set_num_threads(int(choices["threads"]))
    torch.backends.cudnn.benchmark = device == "cuda" and choices["autotuning"] == "on"
    lacking = allocator.prepared(chosen)
    model = build(network, weights=weights, precision=precision).to(device)
    layout = LAYOUTS[choices["layout"]]
    options = {name: True for name, wanted in OPTIONS.items() if wanted & choices.items()}
    found = in_layout(model, layout) if choices["compiler"] == "none" else compiled(model, device, layout, options)
    return replace(found, substitutions=(*found.substitutions, *lacking))


def in_layout(model: nn.Module, layout: torch.memory_format) -> Prepared:
    """The model with its kernels, and the batches that it takes, in a memory layout."""
    placed = model.to(memory_format=layout)  # type: ignore[call-overload]  # the stub lacks it
    return Prepared(placed, placed, layout=layout)


def compiled(
    model: nn.Module,
    device: str,
    layout: torch.memory_format = torch.contiguous_format,
    options: Mapping[str, bool] = MappingProxyType({}),
) -> Prepared:
    """The model through torch.compile; eager where that lacks a compiler, and said so.

    options: TorchInductor's, beside its defaults.
    """
    plain = in_layout(model, layout)
    missing = missing_compiler(device)
    if missing:
        return replace(plain, substitutions=(missing,))
    from torch import _dynamo as dynamo  # importing it takes a second

    dynamo.config.recompile_limit = MOST_NETWORKS  # of one class in a process: the next one would run eagerly
    dynamo.config.fail_on_recompile_limit_hit = True
    call = torch.compile(plain.model, options=dict(options) or None)
    return replace(plain, call=call, compilation=compilation(options))


def compilation(options: Mapping[str, bool] = MappingProxyType({})) -> Compilation:
    """What will be known of the compilations that begin after this, with these options of TorchInductor's."""
    from frameworks.pytorch.inductor import Compilation  # importing TorchInductor takes a second

    return Compilation(options)


def set_products(precision: Precision, device: str) -> None:
    """Float32 products in float32, with TF32 off; on for tf32. Raises Unsupported if the device has none."""
    require_precision("pytorch", precision, torch.cuda.get_device_capability() if device == "cuda" else None)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def missing_compiler(device: str) -> Substitution | None:
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
