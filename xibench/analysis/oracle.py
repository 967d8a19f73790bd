"""keras.applications carrying our weights: an implementation by other hands to check against. Worker side only.

Layers are matched by creation order: Keras' automatic names count up in it, its list of layers is sorted by depth.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import BatchNorm, Network, place
from frameworks.weights import Weights

Arrays = dict[str, NDArray[np.floating[Any]]]


def outputs(
    network: Network, weights: Weights, batch: NDArray[np.floating[Any]], training: bool, given: Arrays | None = None
) -> Arrays:
    """Every block's output under our names, in NHWC, float32; running statistics too after a training-mode pass.

    given: block outputs that each next block starts from. Keras' models have no dropout: compare with a rate of 0.
    """
    import keras

    keras.utils.clear_session()
    build = {"xception": keras.applications.Xception, "inception_v3": keras.applications.InceptionV3}[network.name]
    shape, classes = network.input_shape, network.config.classes
    model = build(weights=None, input_shape=shape, classes=classes, classifier_activation=None)
    units = _units(network, model)
    for path, layers in units.items():
        _assign(path, layers, weights)
    model.get_layer("predictions").set_weights([weights["head.predictions.kernel"], weights["head.predictions.bias"]])
    taps = _taps(network, model)
    if given is None:
        blocks = keras.Model(model.input, [layer.output for layer in taps.values()])(batch, training=training)
        arrays: Arrays = {name: np.asarray(block) for name, block in zip(taps, blocks, strict=True)}
    else:
        arrays, before, x = {}, model.input, batch
        for name, layer in taps.items():
            arrays[name] = np.asarray(keras.Model(before, layer.output)(x, training=training))
            before, x = layer.output, given.get(name, arrays[name]).astype(np.float32)
    if training:
        for path, layers in units.items():
            arrays[f"{path}.bn.mean"] = np.asarray(layers[-1].moving_mean)
            arrays[f"{path}.bn.variance"] = np.asarray(layers[-1].moving_variance)
    return arrays


def _units(network: Network, model: Any) -> dict[str, list[Any]]:
    """Path of each convolution with batch norm -> Keras' layers for it, the batch norm last."""
    paths = [p.path.rpartition(".")[0] for p in place(network) if isinstance(p.layer, BatchNorm)]
    if network.name == "xception":
        shortcuts = iter(zip(_numbered(model, "conv2d"), _numbered(model, "batch_normalization"), strict=True))
        return {path: _xception_unit(path, model, shortcuts) for path in paths}
    pairs = zip(_numbered(model, "conv2d"), _numbered(model, "batch_normalization"), strict=True)
    return {path: list(pair) for path, pair in zip(paths, pairs, strict=True)}


def _xception_unit(path: str, model: Any, shortcuts: Any) -> list[Any]:
    if path.endswith("shortcut"):
        return list(next(shortcuts))
    name = path.replace(".", "_")
    return [model.get_layer(name), model.get_layer(f"{name}_bn")]


def _numbered(model: Any, stem: str) -> list[Any]:
    """Layers with automatic names (stem, stem_1, …) in the order of their creation."""
    found = [(re.fullmatch(rf"{stem}(?:_(\d+))?", layer.name), layer) for layer in model.layers]
    return [layer for _, layer in sorted((int(m[1] or 0), layer) for m, layer in found if m)]


def _assign(path: str, layers: list[Any], weights: Weights) -> None:
    conv, norm = layers
    if f"{path}.depthwise.kernel" in weights:
        depthwise = weights[f"{path}.depthwise.kernel"].transpose(0, 1, 3, 2)
        conv.set_weights([depthwise, weights[f"{path}.pointwise.kernel"]])
    else:
        conv.set_weights([weights[f"{path}.conv.kernel"]])
    names = [f"{path}.bn.{n}" for n in ("scale", "offset", "mean", "variance")]
    norm.set_weights([weights[name] for name in names if name in weights])


def _taps(network: Network, model: Any) -> dict[str, Any]:
    """Block name -> the Keras layer whose output it is."""
    if network.name == "xception":
        ends = {"block1": "block1_conv2_act", "block14": "block14_sepconv2_act", "head": "predictions"}
        additions = iter(_numbered(model, "add"))
        return {
            layer.name: model.get_layer(ends[layer.name]) if layer.name in ends else next(additions)
            for layer in network.layers
        }
    activations, pools = iter(_numbered(model, "activation")), iter(_numbered(model, "max_pooling2d"))
    mixed = iter(model.get_layer(f"mixed{i}") for i in range(11))
    kinds = {"conv": activations, "pool": pools, "mixed": mixed, "head": iter([model.get_layer("predictions")])}
    return {layer.name: next(kinds[layer.name.split("_")[0]]) for layer in network.layers}
