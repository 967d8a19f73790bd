"""Graph rewrites that are exact in real arithmetic: (network, weights) -> (network, weights). `verify` checks each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
    return replace(network, layers=_fold(network.layers, "", folded), auxiliary=None), folded


def _fold(layers: tuple[Layer, ...], prefix: str, weights: dict[str, Array]) -> tuple[Layer, ...]:
    """Fold the batch norms among these layers and within them, and replace the weights of each folded pair."""
    folded: list[Layer] = []
    for layer in layers:
        path = join(prefix, layer.name)
        before = folded[-1] if folded else None
        match layer:
            case BatchNorm() if isinstance(before, Conv):
                conv = join(prefix, before.name)
                one, zero = np.ones(1), np.zeros(1)
                scale = weights.pop(f"{path}.scale", one).astype(np.float64)
                variance = weights.pop(f"{path}.variance", one).astype(np.float64)
                offset = weights.pop(f"{path}.offset", zero).astype(np.float64)
                mean = weights.pop(f"{path}.mean", zero).astype(np.float64)
                bias = weights.pop(f"{conv}.bias", zero).astype(np.float64)
                gain = scale / np.sqrt(variance + layer.epsilon)
                weights[f"{conv}.kernel"] = weights[f"{conv}.kernel"] * gain
                weights[f"{conv}.bias"] = offset + (bias - mean) * gain
                folded[-1] = replace(before, bias=True)
            case Sequence():
                folded.append(_fold_sequence(layer, prefix, weights))
            case Residual(body=body, shortcut=shortcut):
                short = _fold_sequence(shortcut, path, weights) if shortcut else None
                folded.append(replace(layer, body=_fold(body, path, weights), shortcut=short))
            case Branches(branches=branches):
                folded.append(replace(layer, branches=tuple(_fold_sequence(b, path, weights) for b in branches)))
            case _:
                folded.append(layer)
    return tuple(folded)


def _fold_sequence(layer: Sequence, prefix: str, weights: dict[str, Array]) -> Sequence:
    """The same for the layers of a sequence."""
    return replace(layer, layers=_fold(layer.layers, join(prefix, layer.name), weights))
