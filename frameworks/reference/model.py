"""A network in NumPy: the model interprets the blueprint and computes each layer kind by its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frameworks import blueprint
from frameworks.blueprint import Layer, Network, join, parameters, require_trainable
from frameworks.errors import Unsupported
from frameworks.recipes import Precision
from frameworks.reference import layers
from frameworks.reference.layers import Array
from frameworks.weights import Weights

DTYPES: Final[Mapping[str, type[np.floating]]] = {"fp64": np.float64, "fp32": np.float32}
"""Dtype to which parameters and layer outputs are rounded. A layer computes in float64 in both precisions, so that fp32
gives the nearest float32 output of each layer: no float32 implementation can be more accurate.
"""


class Model:
    """A network: (N, H, W, C) -> logits (N, classes). Starts in inference mode; `train()` and `eval()` switch.

    With an auxiliary classifier, `blocks` also returns its logits in training mode. masks: dropout masks for training
    mode, by the path of the layer; a layer without one uses a random mask.
    """

    def __init__(self, network: Network, weights: Weights, precision: Precision = "fp64") -> None:
        if precision not in DTYPES:
            raise Unsupported(f"reference: no {precision} in NumPy, expected one of {', '.join(DTYPES)}")
        self.network = network
        self.dtype = DTYPES[precision]
        self.training = False
        self.masks: Mapping[str, NDArray[np.floating]] = {}
        self._random = np.random.default_rng(0)
        self._weights = {p.name: self._rounded(weights[p.name]) for p in parameters(network)}

    def train(self) -> None:
        """Training mode: batch statistics, which update the running statistics; dropout; the auxiliary classifier."""
        self.training = True

    def eval(self) -> None:
        """Inference: running statistics, no dropout."""
        self.training = False

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.blocks(x)[self.network.layers[-1].name]

    def blocks(
        self, x: NDArray[np.floating], block_inputs: Mapping[str, NDArray[np.floating]] | None = None
    ) -> dict[str, NDArray[np.floating]]:
        """Every block's output by name, the logits last.

        Args:
            x: images, (N, H, W, C).
            block_inputs: by name of a block, an array that the next block takes instead of this block's output.
        """
        outputs = {}
        auxiliary = self.network.auxiliary if self.training else None
        y = self._rounded(x)
        for block in self.network.layers:
            outputs[block.name] = self._forward(block, "", y)
            y = self._rounded((block_inputs or {}).get(block.name, outputs[block.name]))
            if auxiliary and auxiliary.after == block.name:
                require_trainable(self.network, x.shape[1:3], y.shape[1:])
                outputs[auxiliary.layers.name] = self._forward(auxiliary.layers, "", y)
        return {name: output.astype(self.dtype) for name, output in outputs.items()}

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """All parameters and running statistics by canonical name, in canonical layout."""
        return {name: array.astype(self.dtype) for name, array in self._weights.items()}

    def _forward(self, layer: Layer, prefix: str, x: Array) -> Array:
        """The output of a layer of any kind."""
        path = join(prefix, layer.name)
        match layer:
            case blueprint.Sequence():
                return self._chain(layer.layers, path, x)
            case blueprint.Residual(body=body, shortcut=shortcut):
                added = self._forward(shortcut, path, x) if shortcut else x
                return self._rounded(self._chain(body, path, x) + added)
            case blueprint.Branches(branches=branches):
                return np.concatenate([self._forward(branch, path, x) for branch in branches], axis=-1)
            case _:
                return self._rounded(self._leaf(layer, path, x))

    def _chain(self, members: tuple[Layer, ...], path: str, x: Array) -> Array:
        for member in members:
            x = self._forward(member, path, x)
        return x

    def _leaf(self, layer: blueprint.Leaf, path: str, x: Array) -> Array:
        weights = self._weights
        match layer:
            case blueprint.Conv():
                return layers.conv(layer, x, weights[f"{path}.kernel"], weights.get(f"{path}.bias"))
            case blueprint.BatchNorm():
                return self._batch_norm(layer, path, x)
            case blueprint.Activation():
                return layers.activation(layer, x)
            case blueprint.MaxPool():
                return layers.max_pool(layer, x)
            case blueprint.AveragePool():
                return layers.average_pool(layer, x)
            case blueprint.GlobalAveragePool():
                return layers.global_average_pool(x)
            case blueprint.Flatten():
                return layers.flatten(x)
            case blueprint.Slice():
                return layers.channel_slice(layer, x)
            case blueprint.Dropout():
                return layers.dropout(layer, x, self._mask(layer, path, x)) if self.training else x
            case blueprint.Dense():
                return layers.dense(x, weights[f"{path}.kernel"], weights[f"{path}.bias"])

    def _batch_norm(self, layer: blueprint.BatchNorm, path: str, x: Array) -> Array:
        """Normalise; in training mode by the batch's statistics, which also update the running statistics."""
        weights = self._weights
        mean, variance = weights[f"{path}.mean"], weights[f"{path}.variance"]
        if self.training:
            kept_mean, kept_variance = mean, variance
            mean, variance = layers.batch_statistics(x)
            fresh = layers.fresh_variance(layer, variance, x.size // x.shape[-1])
            weights[f"{path}.mean"] = self._rounded(layers.running_statistic(layer, kept_mean, mean))
            weights[f"{path}.variance"] = self._rounded(layers.running_statistic(layer, kept_variance, fresh))
        return layers.batch_norm(layer, x, mean, variance, weights[f"{path}.offset"], weights.get(f"{path}.scale"))

    def _mask(self, layer: blueprint.Dropout, path: str, x: Array) -> Array:
        drawn = self._random.uniform(size=x.shape) >= layer.rate
        return np.asarray(self.masks.get(path, drawn), np.float64)

    def _rounded(self, array: NDArray[np.floating]) -> Array:
        """Round to the model's precision, and return the result as float64."""
        return array.astype(self.dtype, copy=False).astype(np.float64, copy=False)
