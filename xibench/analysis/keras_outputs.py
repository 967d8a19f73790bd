"""Block outputs of keras.applications with our weights, as an independent implementation to compare with.

Imported by workers only, because it imports Keras.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameworks.blueprint import BatchNorm, Network, infer_shapes
from frameworks.third_party import keras_layers
from frameworks.weights import Weights

Arrays = dict[str, NDArray[np.floating[Any]]]


def outputs(
    network: Network,
    weights: Weights,
    batch: NDArray[np.floating[Any]],
    training: bool,
    block_inputs: Arrays | None = None,
) -> Arrays:
    """Compute the output of every block of the keras.applications model.

    The models of Keras have no dropout and can only be compared with a dropout rate of 0.

    Args:
        network: The network that the model implements.
        weights: Weights under our names.
        batch: Images, (batch, height, width, channels).
        training: Whether batch norm uses batch statistics and updates its running statistics.
        block_inputs: Block outputs from which each next block starts; None for the model's own.

    Returns:
        Block outputs under our names, in NHWC and float32, and the updated running statistics in training mode.
    """
    import keras

    keras.utils.clear_session()
    model = keras_layers.build(keras.applications, network)
    layers = keras_layers.layers_of(network, model)
    keras_layers.assign(layers, weights)
    taps = keras_layers.taps_of(network, model)
    if block_inputs is None:
        blocks = keras.Model(model.input, [layer.output for layer in taps.values()])(batch, training=training)
        arrays: Arrays = {name: np.asarray(block) for name, block in zip(taps, blocks, strict=True)}
    else:
        arrays, start, x = {}, model.input, batch
        for name, layer in taps.items():
            arrays[name] = np.asarray(keras.Model(start, layer.output)(x, training=training))
            start, x = layer.output, block_inputs.get(name, arrays[name]).astype(np.float32)
    if training:
        for path in (p.path for p in infer_shapes(network) if isinstance(p.layer, BatchNorm)):
            arrays[f"{path}.mean"] = np.asarray(layers[path].moving_mean)
            arrays[f"{path}.variance"] = np.asarray(layers[path].moving_variance)
    return arrays
