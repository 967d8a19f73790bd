"""A network as a tf.Module: submodules are attributes under the canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
import tensorflow as tf

from frameworks import blueprint
from frameworks.blueprint import Layer, Network, join, require_trainable
from frameworks.tensorflow import layers
from frameworks.weights import Weights

DTYPES: Final = {"fp64": tf.float64, "fp32": tf.float32, "tf32": tf.float32, "bf16": tf.bfloat16}


class Sequence(tf.Module):
    """Layers one after another."""

    def __init__(self, members: tuple[Layer, ...], path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.members = tuple(layer.name for layer in members)
        for layer in members:
            setattr(self, layer.name, _module(layer, join(path, layer.name), weights, dtype))

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        for name in self.members:
            with tf.name_scope(name):
                x = getattr(self, name)(x, training)
        return x


class Residual(tf.Module):
    """body(x) + shortcut(x), or + x."""

    def __init__(self, layer: blueprint.Residual, path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.body = tuple(member.name for member in layer.body)
        for member in layer.body:
            setattr(self, member.name, _module(member, join(path, member.name), weights, dtype))
        shortcut = layer.shortcut
        self.shortcut = _module(shortcut, join(path, shortcut.name), weights, dtype) if shortcut else None

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y = x
        for name in self.body:
            with tf.name_scope(name):
                y = getattr(self, name)(y, training)
        return y + (x if self.shortcut is None else self.shortcut(x, training))


class Branches(tf.Module):
    """Branches with the same input, concatenated along channels."""

    def __init__(self, layer: blueprint.Branches, path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.branches = tuple(branch.name for branch in layer.branches)
        for branch in layer.branches:
            setattr(self, branch.name, _module(branch, join(path, branch.name), weights, dtype))

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = []
        for name in self.branches:
            with tf.name_scope(name):
                outputs.append(getattr(self, name)(x, training))
        return tf.concat(outputs, axis=-1)


class Model(Sequence):
    """A network: (N, H, W, C) -> logits (N, classes). `training` chooses batch statistics and dropout.

    With an auxiliary classifier, training returns (logits, auxiliary logits).
    """

    def __init__(self, network: Network, weights: Weights, dtype: tf.DType) -> None:
        super().__init__(network.layers, "", weights, dtype)
        self.network = network
        self.dtype = dtype
        if network.auxiliary:
            head = network.auxiliary.layers
            setattr(self, head.name, _module(head, head.name, weights, dtype))

    def __call__(self, x: tf.Tensor, training: bool = False) -> Any:
        if not (training and self.network.auxiliary):
            return super().__call__(x, training)
        outputs = self.blocks(x, training)
        return outputs[self.members[-1]], outputs[self.network.auxiliary.layers.name]

    def blocks(
        self, x: tf.Tensor, training: bool = False, block_inputs: Mapping[str, tf.Tensor] | None = None
    ) -> dict[str, tf.Tensor]:
        """Every block's output by name, the logits last.

        block_inputs: by name of a block, a tensor that the next block takes instead of this block's output.
        """
        outputs, size = {}, x.shape[1:3]
        auxiliary = self.network.auxiliary if training else None
        for name in self.members:
            outputs[name] = getattr(self, name)(x, training)
            x = outputs[name] if block_inputs is None else block_inputs.get(name, outputs[name])
            if auxiliary and auxiliary.after == name:
                require_trainable(self.network, size, tuple(x.shape[1:]))
                outputs[auxiliary.layers.name] = getattr(self, auxiliary.layers.name)(x, training)
        return outputs

    def _trackable_children(self, save_type: str = "checkpoint", **options: Any) -> dict[str, Any]:
        """Add `__call__` in inference to what tf.saved_model.save writes, so that the loaded object is callable.

        A tf.Module saves its tf.functions only. `__call__` itself is a plain method, so that a caller's tf.function,
        such as a recipe's, contains the layers and not a call of another function.
        """
        children: dict[str, Any] = super()._trackable_children(save_type, **options)
        if save_type == "savedmodel":
            children["__call__"] = tf.function(lambda images: self(images), input_signature=[self.signature()])
            children["__call__"].get_concrete_function()
        return children

    def signature(self) -> tf.TensorSpec:
        """What the network takes: any number of images, of any size unless a layer depends on it (see Flatten)."""
        kinds = [p.layer for p in blueprint.infer_shapes(self.network)]
        padded = any(isinstance(each, blueprint.MaxPool) and each.pad_value != float("-inf") for each in kinds)
        fixed = padded or any(isinstance(each, blueprint.Flatten) for each in kinds)
        height, width, channels = self.network.input_shape
        shape = (None, height, width, channels) if fixed else (None, None, None, channels)
        return tf.TensorSpec(shape, self.dtype, name="images")

    def weights(self) -> dict[str, np.ndarray]:
        """All parameters and running statistics by canonical name, in canonical layout."""
        arrays = {}
        for name in (p.name for p in blueprint.parameters(self.network)):
            *owners, attribute = name.split(".")
            owner = reduce(getattr, owners, self)
            arrays[name] = layers.to_canonical(getattr(owner, attribute), _is_depthwise_kernel(owner, attribute))
        return arrays


def _is_depthwise_kernel(owner: object, attribute: str) -> bool:
    return isinstance(owner, layers.Conv) and owner.depthwise and attribute == "kernel"


def _module(layer: Layer, path: str, weights: Weights, dtype: tf.DType) -> tf.Module:
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
