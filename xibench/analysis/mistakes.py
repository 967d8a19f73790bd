"""Seeded mistakes: typical errors of reimplementations of these networks. `verify` must detect every one of them.

A mistake changes a correct (network, weights) pair; one framework runs the changed pair and is compared with another
one that runs the correct pair. A network with such a mistake trains, looks plausible and loses a fraction of a
percentage point of accuracy (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace

from frameworks.blueprint import (
    Activation,
    AveragePool,
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    Layer,
    MaxPool,
    Network,
    Residual,
    Sequence,
)
from frameworks.weights import Array, Weights

Edit = Callable[[Network, Weights], tuple[Network, Weights]]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One seeded mistake."""

    name: str
    model: str  # the network in which it is seeded
    training: bool  # whether it changes only a pass in training mode
    make: Edit  # turns a correct network and weights into wrong ones


def each_layer(change: Callable[[Layer], Layer]) -> Edit:
    """Return an edit that applies `change` to every layer, at any depth."""

    def edit(network: Network, weights: Weights) -> tuple[Network, Weights]:
        return replace(network, layers=_each(network.layers, change)), weights

    return edit


def each_weight(ending: str, change: Callable[[Array], Array]) -> Edit:
    """Return an edit that applies `change` to every array whose canonical name ends with `ending`."""

    def edit(network: Network, weights: Weights) -> tuple[Network, Weights]:
        changed = {n: np.ascontiguousarray(change(a)) if n.endswith(ending) else a for n, a in weights.items()}
        return network, changed

    return edit


def _each(layers: tuple[Layer, ...], change: Callable[[Layer], Layer]) -> tuple[Layer, ...]:
    return tuple(change(_inside(layer, change)) for layer in layers)


def _inside(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    match layer:
        case Sequence(layers=layers):
            return replace(layer, layers=_each(layers, change))
        case Residual(body=body, shortcut=shortcut):
            kept = shortcut and Sequence(shortcut.name, _each(shortcut.layers, change))
            return replace(layer, body=_each(body, change), shortcut=kept)
        case Branches(branches=branches):
            return replace(layer, branches=tuple(Sequence(b.name, _each(b.layers, change)) for b in branches))
        case _:
            return layer


def _epsilon(layer: Layer) -> Layer:
    return replace(layer, epsilon=1e-5) if isinstance(layer, BatchNorm) else layer


def _zero_padding(layer: Layer) -> Layer:
    return replace(layer, pad_value=0.0) if isinstance(layer, MaxPool) else layer


def _symmetric_padding(layer: Layer) -> Layer:
    return replace(layer, padding="symmetric") if isinstance(layer, MaxPool) else layer


def _border_counted(layer: Layer) -> Layer:
    return replace(layer, border="include") if isinstance(layer, AveragePool) else layer


def _swapped_branches(layer: Layer) -> Layer:
    if isinstance(layer, Branches) and len(layer.branches) > 2:
        first, second, *rest = layer.branches
        return replace(layer, branches=(second, first, *rest))
    return layer


def _swapped_halves(layer: Layer) -> Layer:
    if isinstance(layer, Branches) and len(layer.branches) == 2:
        return replace(layer, branches=layer.branches[::-1])
    return layer


def _momentum_inverted(layer: Layer) -> Layer:
    return replace(layer, momentum=1 - layer.momentum) if isinstance(layer, BatchNorm) else layer


def _unbiased_variance(layer: Layer) -> Layer:
    return replace(layer, variance="unbiased") if isinstance(layer, BatchNorm) else layer


def _relu_missing(layer: Layer) -> Layer:
    """Remove the ReLU before the third convolution of each middle-flow block."""
    if isinstance(layer, Sequence) and layer.name == "sepconv3":
        return replace(layer, layers=tuple(child for child in layer.layers if not isinstance(child, Activation)))
    return layer


def _relu_between(layer: Layer) -> Layer:
    """Insert a ReLU between depthwise and pointwise convolution, where the paper has none."""
    if isinstance(layer, Sequence) and any(isinstance(c, Conv) and c.name == "depthwise" for c in layer.layers):
        at = next(i for i, c in enumerate(layer.layers) if c.name == "depthwise") + 1
        return replace(layer, layers=(*layer.layers[:at], Activation("between"), *layer.layers[at:]))
    return layer


def _dropout_scale(layer: Layer) -> Layer:
    return replace(layer, rate=1 - layer.rate) if isinstance(layer, Dropout) else layer


def _relu_in_place(network: Network, weights: Weights) -> tuple[Network, Weights]:
    """Let the leading ReLU of block 5 overwrite the block's input, which the shortcut then adds."""
    at = next(i for i, layer in enumerate(network.layers) if layer.name == "block5")
    layers = (*network.layers[:at], Activation("in_place"), *network.layers[at:])
    return replace(network, layers=layers), weights


MISTAKES: Final[tuple[Mistake, ...]] = (
    Mistake("batch-norm epsilon 1e-5 instead of 1e-3", "xception", False, each_layer(_epsilon)),
    Mistake("max pool padded with zeros", "xception", False, each_layer(_zero_padding)),
    Mistake("max pool padded symmetrically", "xception", False, each_layer(_symmetric_padding)),
    Mistake("average pool counts the border", "inception_v3", False, each_layer(_border_counted)),
    Mistake("first two branches swapped", "inception_v3", False, each_layer(_swapped_branches)),
    Mistake("1x3 and 3x1 halves swapped", "inception_v3", False, each_layer(_swapped_halves)),
    Mistake("ReLU missing before a convolution", "xception", False, each_layer(_relu_missing)),
    Mistake("ReLU between depthwise and pointwise", "xception", False, each_layer(_relu_between)),
    Mistake("ReLU in place, seen by the shortcut", "xception", False, _relu_in_place),
    Mistake("kernels transposed in space", "xception", False,
            each_weight("depthwise.kernel", lambda k: k.swapaxes(0, 1))),
    Mistake("kernels flipped", "inception_v3", False, each_weight("conv.kernel", lambda k: k[::-1, ::-1])),
    Mistake("depthwise channels off by one", "xception", False,
            each_weight("depthwise.kernel", lambda k: np.roll(k, 1, axis=3))),
    Mistake("colours in BGR order", "inception_v3", False,
            each_weight("conv_1a_3x3.conv.kernel", lambda k: k[:, :, ::-1])),
    Mistake("batch-norm scale left at 1", "xception", False, each_weight("bn.scale", np.ones_like)),
    Mistake("bias of the logits left out", "inception_v3", False, each_weight("predictions.bias", np.zeros_like)),
    Mistake("batch-norm momentum inverted", "xception", True, each_layer(_momentum_inverted)),
    Mistake("unbiased running variance", "inception_v3", True, each_layer(_unbiased_variance)),
    Mistake("dropout scaled by the rate", "inception_v3", True, each_layer(_dropout_scale)),
)
