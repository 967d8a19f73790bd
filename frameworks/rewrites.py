"""Graph rewrites that are exact in real arithmetic: (network, weights) -> (network, weights). `verify` checks each."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from frameworks.blueprint import (
    AveragePool,
    BatchNorm,
    Branches,
    Conv,
    Layer,
    Network,
    Residual,
    Sequence,
    Slice,
    join,
)
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
            case Sequence(layers=inner):
                folded.append(replace(layer, layers=_fold(inner, path, weights)))
            case Residual(body=body, shortcut=shortcut):
                if shortcut:
                    inner = _fold(shortcut.layers, join(path, shortcut.name), weights)
                    shortcut = replace(shortcut, layers=inner)
                folded.append(replace(layer, body=_fold(body, path, weights), shortcut=shortcut))
            case Branches(branches=branches):
                inners = [(branch, _fold(branch.layers, join(path, branch.name), weights)) for branch in branches]
                folded.append(replace(layer, branches=tuple(replace(b, layers=inner) for b, inner in inners)))
            case _:
                folded.append(layer)
    return tuple(folded)


def merge_branches(network: Network, weights: Weights) -> tuple[Network, dict[str, Array]]:
    """Merge the 1 x 1 convolutions with which all branches of a module begin into one.

    They read the same input: one convolution with all their kernels side by side reads it once, and each branch takes
    its channels of the output. An average pool before such a convolution moves behind it, where there may be fewer
    channels: the two commute, because one averages over positions and the other over channels. Only a pool that counts
    padded cells (`border` include) does not commute with a bias.

    Args:
        network: the blueprint.
        weights: by canonical name.

    Returns:
        The network with the modules merged in which every branch begins so, and its weights. The merged convolution of
        module `m` is `m.merged`; other weights keep their names below `m.parts`.
    """
    merged = dict(weights)
    return replace(network, layers=_merge(network.layers, "", merged)), merged


def _merge(layers: tuple[Layer, ...], prefix: str, weights: dict[str, Array]) -> tuple[Layer, ...]:
    """Merge the modules among these layers and within them, and replace their weights."""
    merged: list[Layer] = []
    for layer in layers:
        path = join(prefix, layer.name)
        match layer:
            case Sequence(layers=inner):
                merged.append(replace(layer, layers=_merge(inner, path, weights)))
            case Residual(body=body, shortcut=shortcut):
                if shortcut:
                    inside = _merge(shortcut.layers, join(path, shortcut.name), weights)
                    shortcut = replace(shortcut, layers=inside)
                merged.append(replace(layer, body=_merge(body, path, weights), shortcut=shortcut))
            case Branches(branches=branches):
                within = (replace(b, layers=_merge(b.layers, join(path, b.name), weights)) for b in branches)
                merged.append(_merge_module(replace(layer, branches=tuple(within)), path, weights))
            case _:
                merged.append(layer)
    return tuple(merged)


def _merge_module(module: Branches, path: str, weights: dict[str, Array]) -> Layer:
    """One convolution, and the branches without it; the module itself if a branch does not begin with a 1 x 1."""
    kernels, biases, start = [], [], 0
    parts: list[Sequence] = []
    moved = {name: array for name, array in weights.items() if name.startswith(f"{path}.")}
    for branch in module.branches:
        pools = tuple(layer for layer in branch.layers[:1] if isinstance(layer, AveragePool) and layer.stride == 1)
        taken = _without_first_conv(branch.layers[len(pools) :])
        if taken is None or (taken[0].kernel, taken[0].stride, taken[0].groups) != ((1, 1), 1, 1):
            return module
        conv, conv_path, rest = taken
        if conv.bias and any(pool.border == "include" and pool.padding == "same" for pool in pools):
            return module
        kernels.append(moved.pop(f"{path}.{branch.name}.{conv_path}.kernel"))
        biases.append(moved.pop(f"{path}.{branch.name}.{conv_path}.bias", np.zeros(conv.features)))
        part = Slice("of_merged", start, start + conv.features)
        parts.append(replace(branch, layers=(part, *pools, *rest)))
        start += conv.features

    # The weights of the convolutions that were merged are gone, those of the other layers have new names.
    for name in [name for name in weights if name.startswith(f"{path}.")]:
        del weights[name]
    weights |= {f"{path}.parts.{name.removeprefix(f'{path}.')}": array for name, array in moved.items()}
    weights |= {f"{path}.merged.kernel": np.concatenate(kernels, 3), f"{path}.merged.bias": np.concatenate(biases)}
    return Sequence(module.name, (Conv("merged", start, (1, 1), bias=True), Branches("parts", tuple(parts))))


def _without_first_conv(layers: tuple[Layer, ...]) -> tuple[Conv, str, tuple[Layer, ...]] | None:
    """The convolution with which layers begin, its path, and the layers without it; None if they begin otherwise."""
    match layers:
        case (Conv() as conv, *rest):
            return conv, conv.name, tuple(rest)
        case (Sequence() as sequence, *rest) if (inner := _without_first_conv(sequence.layers)) is not None:
            conv, path, remaining = inner
            return conv, join(sequence.name, path), (replace(sequence, layers=remaining), *rest)
    return None
