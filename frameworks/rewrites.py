"""Optimisations that mathematics allows: (network, weights) -> (network, weights). Each is checked by verify."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import BatchNorm, Branches, Conv, Layer, Network, Residual, Sequence, join
from frameworks.weights import Array, Weights


def fold_batch_norm(network: Network, weights: Weights) -> tuple[Network, dict[str, Array]]:
    """Folds each batch norm into the convolution right before it; inference only.

    kernel' = kernel * g and bias' = offset + (bias - mean) * g with g = scale / sqrt(variance + epsilon). Both come
    back in float64: a framework rounds them once, to the precision that it runs in. An auxiliary classifier, which
    inference does not run, is left out. A batch norm after anything but a convolution stays as it is.
    """
    beside = f"{network.auxiliary.layers.name}." if network.auxiliary else None
    folded = {n: array for n, array in weights.items() if beside is None or not n.startswith(beside)}
    return replace(network, layers=_fold_list(network.layers, "", folded), auxiliary=None), folded


def _fold(layer: Layer, prefix: str, weights: dict[str, Array]) -> Layer:
    path = join(prefix, layer.name)
    match layer:
        case Sequence():
            return _fold_sequence(layer, prefix, weights)
        case Residual(body=body, shortcut=shortcut):
            kept = shortcut and _fold_sequence(shortcut, path, weights)
            return replace(layer, body=_fold_list(body, path, weights), shortcut=kept)
        case Branches(branches=branches):
            return replace(layer, branches=tuple(_fold_sequence(branch, path, weights) for branch in branches))
        case _:
            return layer


def _fold_sequence(layer: Sequence, prefix: str, weights: dict[str, Array]) -> Sequence:
    return Sequence(layer.name, _fold_list(layer.layers, join(prefix, layer.name), weights))


def _fold_list(layers: tuple[Layer, ...], path: str, weights: dict[str, Array]) -> tuple[Layer, ...]:
    folded: list[Layer] = []
    for layer in layers:
        before = folded[-1] if folded else None
        if isinstance(layer, BatchNorm) and isinstance(before, Conv):
            folded[-1] = replace(before, bias=True)
            _fold_pair(join(path, before.name), join(path, layer.name), layer.epsilon, weights)
        else:
            folded.append(_fold(layer, path, weights))
    return tuple(folded)


def _fold_pair(conv: str, norm: str, epsilon: float, weights: dict[str, Array]) -> None:
    def take(name: str, otherwise: float) -> NDArray[np.float64]:
        return weights.pop(name, np.full(1, otherwise)).astype(np.float64)

    gain = take(f"{norm}.scale", 1.0) / np.sqrt(take(f"{norm}.variance", 1.0) + epsilon)
    bias = take(f"{norm}.offset", 0.0) + (take(f"{conv}.bias", 0.0) - take(f"{norm}.mean", 0.0)) * gain
    weights[f"{conv}.kernel"] = weights[f"{conv}.kernel"] * gain
    weights[f"{conv}.bias"] = bias
