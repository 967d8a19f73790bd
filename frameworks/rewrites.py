"""Graph rewrites that are exact in real arithmetic: (network, weights) -> (network, weights). `verify` checks each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import BatchNorm, Branches, Conv, Layer, Network, Residual, Sequence, join
from frameworks.weights import Array, Weights


def fold_batch_norm(network: Network, weights: Weights) -> tuple[Network, dict[str, Array]]:
    """Fold each batch norm into the convolution directly before it; for inference only.

    kernel' = kernel * g and bias' = offset + (bias - mean) * g, where g = scale / sqrt(variance + epsilon). A
    batch norm after any other layer is left unchanged. The auxiliary classifier is dropped: inference does not run it.

    Args:
        network: the blueprint.
        weights: by canonical name.

    Returns:
        The network without the folded batch norms, and its weights; new kernels and biases are float64, so that a
        framework rounds them only once, to the precision that it runs in.
    """
    auxiliary = f"{network.auxiliary.layers.name}." if network.auxiliary else None
    folded = {n: array for n, array in weights.items() if auxiliary is None or not n.startswith(auxiliary)}
    return replace(network, layers=_fold_list(network.layers, "", folded), auxiliary=None), folded


def _fold(layer: Layer, prefix: str, weights: dict[str, Array]) -> Layer:
    path = join(prefix, layer.name)
    match layer:
        case Sequence():
            return _fold_sequence(layer, prefix, weights)
        case Residual(body=body, shortcut=shortcut):
            folded = shortcut and _fold_sequence(shortcut, path, weights)
            return replace(layer, body=_fold_list(body, path, weights), shortcut=folded)
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
    """Replace the weights of a convolution and its batch norm, given by their paths, by those of the folded pair."""

    def take(name: str, default: float) -> NDArray[np.float64]:
        return weights.pop(name, np.full(1, default)).astype(np.float64)

    gain = take(f"{norm}.scale", 1.0) / np.sqrt(take(f"{norm}.variance", 1.0) + epsilon)
    bias = take(f"{norm}.offset", 0.0) + (take(f"{conv}.bias", 0.0) - take(f"{norm}.mean", 0.0)) * gain
    weights[f"{conv}.kernel"] = weights[f"{conv}.kernel"] * gain
    weights[f"{conv}.bias"] = bias
