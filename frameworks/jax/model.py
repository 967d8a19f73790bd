"""A network as a flax.nnx.Module: submodules are attributes under the canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from frameworks import blueprint
from frameworks.blueprint import Layer, Network, join, require_trainable
from frameworks.jax import layers
from frameworks.jax.layers import HIGHEST, ConvLowering, NumericPolicy
from frameworks.recipes import Precision
from frameworks.weights import Weights

DTYPES: Final = {"fp64": jnp.float64, "fp32": jnp.float32, "tf32": jnp.float32, "bf16": jnp.bfloat16}


class Sequence(nnx.Module):
    """Layers one after another."""

    def __init__(
        self, members: tuple[Layer, ...], path: str, weights: Weights, policy: NumericPolicy, lowering: ConvLowering
    ) -> None:
        self.members = tuple(layer.name for layer in members)
        for layer in members:
            setattr(self, layer.name, _module(layer, join(path, layer.name), weights, policy, lowering))

    def __call__(self, x: jax.Array) -> jax.Array:
        for name in self.members:
            with jax.named_scope(name):
                x = getattr(self, name)(x)
        return x


class Residual(nnx.Module):
    """body(x) + shortcut(x), or + x."""

    def __init__(
        self, layer: blueprint.Residual, path: str, weights: Weights, policy: NumericPolicy, lowering: ConvLowering
    ) -> None:
        self.body = tuple(member.name for member in layer.body)
        for member in layer.body:
            setattr(self, member.name, _module(member, join(path, member.name), weights, policy, lowering))
        shortcut = layer.shortcut
        self.shortcut = _module(shortcut, join(path, shortcut.name), weights, policy, lowering) if shortcut else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        for name in self.body:
            with jax.named_scope(name):
                y = getattr(self, name)(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


class Branches(nnx.Module):
    """Branches with the same input, concatenated along channels."""

    def __init__(
        self, layer: blueprint.Branches, path: str, weights: Weights, policy: NumericPolicy, lowering: ConvLowering
    ) -> None:
        self.branches = tuple(branch.name for branch in layer.branches)
        for branch in layer.branches:
            setattr(self, branch.name, _module(branch, join(path, branch.name), weights, policy, lowering))

    def __call__(self, x: jax.Array) -> jax.Array:
        outputs = []
        for name in self.branches:
            with jax.named_scope(name):
                outputs.append(getattr(self, name)(x))
        return jnp.concatenate(outputs, axis=-1)


@nnx.jit
def _compiled(block: nnx.Module, x: jax.Array) -> jax.Array:
    return block(x)


class Model(Sequence):
    """A network: (N, H, W, C) -> logits (N, classes). `train()` and `eval()` as usual; starts in eval mode.

    With an auxiliary classifier, training mode returns (logits, auxiliary logits).
    """

    def __init__(self, network: Network, weights: Weights, policy: NumericPolicy, lowering: ConvLowering) -> None:
        super().__init__(network.layers, "", weights, policy, lowering)
        self.network = network
        self.policy = policy
        self.lowering = lowering
        self.deterministic = True  # flax's name: train() and eval() set it
        if network.auxiliary:
            head = network.auxiliary.layers
            setattr(self, head.name, _module(head, head.name, weights, policy, lowering))

    def __call__(self, x: jax.Array) -> Any:
        if self.deterministic or not self.network.auxiliary:
            return super().__call__(x)
        outputs = self.blocks(x)
        return outputs[self.members[-1]], outputs[self.network.auxiliary.layers.name]

    def blocks(self, x: jax.Array, block_inputs: Mapping[str, jax.Array] | None = None) -> dict[str, jax.Array]:
        """Every block's output by name, the logits last.

        block_inputs: by name of a block, an array that the next block takes instead of this block's output.
        Each block is compiled separately; identical blocks share one compilation.
        """
        outputs, size = {}, x.shape[1:3]
        auxiliary = None if self.deterministic else self.network.auxiliary
        for name in self.members:
            outputs[name] = _compiled(getattr(self, name), x)
            x = outputs[name] if block_inputs is None else block_inputs.get(name, outputs[name])
            if auxiliary and auxiliary.after == name:
                require_trainable(self.network, size, tuple(x.shape[1:]))
                outputs[auxiliary.layers.name] = _compiled(getattr(self, auxiliary.layers.name), x)
        return outputs

    def weights(self) -> dict[str, np.ndarray]:
        """All parameters and running statistics by canonical name, in canonical layout."""
        names = (p.name for p in blueprint.parameters(self.network))
        return {name: layers.to_canonical(_variable(self, name)[...]) for name in names}


def numeric_policy(precision: Precision) -> NumericPolicy:
    """The dtype and matmul precision of one of our precisions."""
    return NumericPolicy(DTYPES[precision], lax.Precision.DEFAULT if precision == "tf32" else HIGHEST)


def _variable(model: Model, name: str) -> nnx.Variable[jax.Array]:
    found = reduce(getattr, name.split("."), model)
    assert isinstance(found, nnx.Variable)
    return found


def _module(layer: Layer, path: str, weights: Weights, policy: NumericPolicy, lowering: ConvLowering) -> nnx.Module:
    match layer:
        case blueprint.Sequence():
            return Sequence(layer.layers, path, weights, policy, lowering)
        case blueprint.Residual():
            return Residual(layer, path, weights, policy, lowering)
        case blueprint.Branches():
            return Branches(layer, path, weights, policy, lowering)
        case blueprint.Conv():
            return layers.Conv(layer, path, weights, policy, lowering)
        case blueprint.BatchNorm():
            return layers.BatchNorm(layer, path, weights, policy)
        case blueprint.Activation():
            return layers.Activation(layer)
        case blueprint.MaxPool():
            return layers.MaxPool(layer, lowering)
        case blueprint.AveragePool():
            return layers.AveragePool(layer, lowering)
        case blueprint.GlobalAveragePool():
            return layers.GlobalAveragePool(layer)
        case blueprint.Flatten():
            return layers.Flatten(layer)
        case blueprint.Slice():
            return layers.Slice(layer)
        case blueprint.Dropout():
            return layers.Dropout(layer)
        case blueprint.Dense():
            return layers.Dense(layer, path, weights, policy)
