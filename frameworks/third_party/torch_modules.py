"""Models of third-party PyTorch libraries with our weights: code shared by torchvision and timm."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from frameworks.blueprint import BatchNorm, Conv, Dense, Flatten, LayerInstance, Network, has_batch_norm, infer_shapes
from frameworks.errors import MissingFramework, Unsupported
from frameworks.manifest import Substitution
from frameworks.pytorch import program
from frameworks.pytorch.layers import to_native
from frameworks.pytorch.model import DTYPES
from frameworks.pytorch.program import PyTorchProgram
from frameworks.recipes import Device, Execution
from frameworks.task import Task
from frameworks.weights import Array, Weights

BORDER: Final = Substitution(
    "average pools that leave their border out", "the library's pools count it", "pools that divide by all nine cells"
)
KINDS: Final = {Conv: nn.Conv2d, BatchNorm: nn.BatchNorm2d, Dense: nn.Linear}


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """The library's model for one of our networks.

    name: of the library's model. variant: our variant that computes the same function.
    others: our variants with the same amount of work, and how the library's model differs from each.
    """

    name: str
    variant: str
    others: Mapping[str, tuple[Substitution, ...]] = field(default_factory=dict)

    def differences(self, variant: str) -> tuple[Substitution, ...] | None:
        """How the model differs from one of our variants; None if it is another network."""
        return () if variant == self.variant else self.others.get(variant)


@dataclass(frozen=True, slots=True)
class Library:
    """A library of PyTorch modules; see frameworks.api.Prepares.

    name: of its package. models: the library's models by the name of our network.
    make: returns the module, from the package, the name of the library's model and the number of classes.
    """

    name: str
    models: Mapping[str, LibraryModel]
    make: Callable[[Any, str, int], nn.Module]

    def touch(self, device: Device) -> str:
        """See frameworks.api.Prepares. Also raises MissingFramework without the library."""
        name = program.touch(device)
        imported(self.name)
        return name

    def prepare(self, network: Network, weights: Weights, execution: Execution, task: Task) -> PyTorchProgram:
        """See frameworks.api.Prepares. Raises Unsupported if the library does not have the network."""
        program.require_device(execution.device)
        program.set_matmul_precision(execution.precision, execution.device)
        found, differences = library_model(self.name, self.models, network)
        model = self.make(imported(self.name), found.name, network.config.classes)
        return with_our_weights(model, network, weights, execution, differences)


def imported(library: str) -> Any:
    """Import the library. Raises MissingFramework, or Unsupported if it is installed but cannot be imported."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise MissingFramework(
            f"{library}: module '{error.name}' is not installed; pip install {library}"
        ) from error
    except Exception as error:  # a wheel built for another PyTorch may raise anything
        why = " ".join(str(error).split())
        raise Unsupported(
            f"{library} cannot be imported with torch {torch.__version__}: {type(error).__name__}: {why}"
        ) from error


def library_model(
    library: str, models: Mapping[str, LibraryModel], network: Network
) -> tuple[LibraryModel, tuple[Substitution, ...]]:
    """The library's model for this network, and how it differs. Raises Unsupported if it has none."""
    found = models.get(network.name)
    differences = found.differences(network.variant) if found else None
    if found is None or differences is None:
        known = ", ".join(f"{name} ({', '.join((m.variant, *m.others))})" for name, m in models.items())
        raise Unsupported(f"{library} has no {network.name}, {network.variant}; expected one of {known}")
    return found, differences


def with_our_weights(
    model: nn.Module, network: Network, weights: Weights, execution: Execution, differences: tuple[Substitution, ...]
) -> PyTorchProgram:
    """A program that runs the library's module with our weights and the recipe's settings."""
    model.eval()
    load_weights(model, network, weights)
    model = model.to(execution.device, DTYPES[execution.precision])
    normalised = has_batch_norm(network)
    if execution.recipe.name == "default":
        return PyTorchProgram(model, model, execution, normalised, substitutions=differences)
    layout = torch.channels_last if execution.recipe.name == "tuned" else torch.contiguous_format
    model = model.to(memory_format=layout)  # type: ignore[call-overload]  # the stub has no such overload
    call, compilation, missing = program.compiled(model, execution.device)
    return PyTorchProgram(
        model, call, execution, normalised, layout=layout, compilation=compilation,
        substitutions=(*missing, *differences),
    )  # fmt: skip


def load_weights(model: nn.Module, network: Network, weights: Weights) -> None:
    """Load our weights into the module. Layers are paired in the order in which inference runs them.

    Raises Unsupported if the layers differ in number, kinds or shapes.
    """
    ours = [p for p in infer_shapes(network) if isinstance(p.layer, Conv | BatchNorm | Dense)]
    theirs = _in_order(model, network.input_shape)
    if len(ours) != len(theirs):
        counts = f"{len(theirs)} layers with weights, ours {len(ours)}"
        raise Unsupported(f"{network.name}: the library's model has {counts}")
    flattened = {p.output_shape: p.input_shape for p in infer_shapes(network) if isinstance(p.layer, Flatten)}
    for instance, module in zip(ours, theirs, strict=True):
        _assign(instance, module, weights, flattened.get(instance.input_shape))


def _in_order(model: nn.Module, shape: tuple[int, int, int]) -> list[nn.Module]:
    """The module's layers with weights in the order in which a forward pass reaches them."""
    found: list[nn.Module] = []

    def note(module: nn.Module, *_: Any) -> None:
        found.append(module)

    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, tuple(KINDS.values()))]
    height, width, channels = shape
    with torch.inference_mode():
        model(torch.zeros(1, channels, height, width))
    for hook in hooks:
        hook.remove()
    return found


def _assign(instance: LayerInstance, module: nn.Module, weights: Weights, before: tuple[int, ...] | None) -> None:
    """Load one layer's weights.

    before: for a dense layer after Flatten, the shape before flattening; channels vary fastest in our order, slowest in
    the library's. None for other layers.
    """
    if not isinstance(module, KINDS[type(instance.layer)]):
        raise Unsupported(f"{instance.path}: the library's model has a {type(module).__name__} there")
    kernel = weights.get(f"{instance.path}.kernel")
    if kernel is not None and before is not None:
        kernel = kernel.reshape(*before, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
    if isinstance(instance.layer, BatchNorm):
        offset = weights[f"{instance.path}.offset"]
        scale = weights.get(f"{instance.path}.scale")
        arrays: dict[str, Array | None] = {
            "weight": np.ones_like(offset) if scale is None else scale, "bias": offset,
            "running_mean": weights[f"{instance.path}.mean"], "running_var": weights[f"{instance.path}.variance"],
        }  # fmt: skip
    else:
        arrays = {"weight": kernel, "bias": weights.get(f"{instance.path}.bias")}
    for name, array in arrays.items():
        _copy(instance.path, getattr(module, name), array)


def _copy(path: str, target: Tensor | None, array: Array | None) -> None:
    """Copy an array into a parameter. Raises Unsupported if only one of them exists, or if their shapes differ."""
    if target is None and array is None:
        return
    native = None if array is None else to_native(array, torch.float32)
    if target is None or native is None or target.shape != native.shape:
        ours, theirs = (None if t is None else tuple(t.shape) for t in (native, target))
        raise Unsupported(f"{path}: the library's model has shape {theirs} there, expected {ours}")
    with torch.no_grad():
        target.copy_(native)
