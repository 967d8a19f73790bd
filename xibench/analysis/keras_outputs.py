"""keras.applications carrying our weights: an implementation by other hands to check against. Worker side only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import BatchNorm, Network, infer_shapes
from frameworks.third_party import keras_layers
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
    model = keras_layers.build(keras.applications, network)
    layers = keras_layers.layers_of(network, model)
    keras_layers.assign(layers, weights)
    taps = keras_layers.taps_of(network, model)
    if given is None:
        blocks = keras.Model(model.input, [layer.output for layer in taps.values()])(batch, training=training)
        arrays: Arrays = {name: np.asarray(block) for name, block in zip(taps, blocks, strict=True)}
    else:
        arrays, before, x = {}, model.input, batch
        for name, layer in taps.items():
            arrays[name] = np.asarray(keras.Model(before, layer.output)(x, training=training))
            before, x = layer.output, given.get(name, arrays[name]).astype(np.float32)
    if training:
        for path in (p.path for p in infer_shapes(network) if isinstance(p.layer, BatchNorm)):
            arrays[f"{path}.mean"] = np.asarray(layers[path].moving_mean)
            arrays[f"{path}.variance"] = np.asarray(layers[path].moving_variance)
    return arrays
