"""A network as a torch.nn.Module: submodules and state_dict have the canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from frameworks import blueprint
from frameworks.blueprint import Layer, Network, join, require_trainable
from frameworks.pytorch import layers
from frameworks.weights import Weights

DTYPES: Final = {"fp64": torch.float64, "fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


class Sequence(nn.Module):
    """Layers one after another."""

    def __init__(self, members: tuple[Layer, ...], path: str, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.members = tuple(layer.name for layer in members)
        for layer in members:
            self.add_module(layer.name, _module(layer, join(path, layer.name), weights, dtype))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.members:
            x = self.get_submodule(name)(x)
        return x


class Residual(nn.Module):
    """body(x) + shortcut(x), or + x."""

    def __init__(self, layer: blueprint.Residual, path: str, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.body = tuple(member.name for member in layer.body)
        for member in layer.body:
            self.add_module(member.name, _module(member, join(path, member.name), weights, dtype))
        shortcut = layer.shortcut
        self.shortcut = _module(shortcut, join(path, shortcut.name), weights, dtype) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for name in self.body:
            y = self.get_submodule(name)(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


class Branches(nn.Module):
    """Branches with the same input, concatenated along channels."""

    def __init__(self, layer: blueprint.Branches, path: str, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        for branch in layer.branches:
            self.add_module(branch.name, _module(branch, join(path, branch.name), weights, dtype))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class Model(Sequence):
    """A network: (N, C, H, W) -> logits (N, classes). `train()` and `eval()` as usual; starts in eval mode.

    With an auxiliary classifier, training mode returns (logits, auxiliary logits).
    """

    def __init__(self, network: Network, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__(network.layers, "", weights, dtype)
        self.network = network
        self.dtype = dtype
        if network.auxiliary:
            head = network.auxiliary.layers
            self.add_module(head.name, _module(head, head.name, weights, dtype))
        self.eval()

    def forward(self, x: Tensor) -> Any:
        if not (self.training and self.network.auxiliary):
            return super().forward(x)
        outputs = self.blocks(x)
        return outputs[self.members[-1]], outputs[self.network.auxiliary.layers.name]

    def blocks(self, x: Tensor, block_inputs: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Every block's output by name, the logits last.

        block_inputs: by name of a block, a tensor that the next block takes instead of this block's output.
        """
        outputs, size = {}, x.shape[2:]
        auxiliary = self.network.auxiliary if self.training else None
        for name in self.members:
            outputs[name] = self.get_submodule(name)(x)
            x = outputs[name] if block_inputs is None else block_inputs.get(name, outputs[name])
            if auxiliary and auxiliary.after == name:
                require_trainable(self.network, size, (*x.shape[2:], x.shape[1]))
                outputs[auxiliary.layers.name] = self.get_submodule(auxiliary.layers.name)(x)
        return outputs

    def weights(self) -> dict[str, np.ndarray]:
        """All parameters and running statistics by canonical name, in canonical layout."""
        names = (p.name for p in blueprint.parameters(self.network))
        return {name: layers.to_canonical(reduce(getattr, name.split("."), self)) for name in names}  # type: ignore[arg-type]


def _module(layer: Layer, path: str, weights: Weights, dtype: torch.dtype) -> nn.Module:
    match layer:
        case blueprint.Sequence():
            return Sequence(layer.layers, path, weights, dtype)
        case blueprint.Residual():
            return Residual(layer, path, weights, dtype)
        case blueprint.Branches():
            return Branches(layer, path, weights, dtype)
        case blueprint.Conv():
            return layers.Conv(layer, path, weights, dtype)
        case blueprint.BatchNorm():
            return layers.BatchNorm(layer, path, weights, dtype)
        case blueprint.Activation():
            return layers.Activation(layer)
        case blueprint.MaxPool():
            return layers.MaxPool(layer)
        case blueprint.AveragePool():
            return layers.AveragePool(layer)
        case blueprint.GlobalAveragePool():
            return layers.GlobalAveragePool(layer)
        case blueprint.Flatten():
            return layers.Flatten(layer)
        case blueprint.Slice():
            return layers.Slice(layer)
        case blueprint.Dropout():
            return layers.Dropout(layer)
        case blueprint.Dense():
            return layers.Dense(layer, path, weights, dtype)
