"""The definition of each layer kind in NumPy, as stateless functions of arrays.

Shapes: activations (N, H, W, C), or (N, C) after global pooling or flattening; kernels HWIO (depthwise: H, W, 1, C);
dense kernels (in, out). Everything is float64. Every default on which frameworks differ is documented with its layer.

Convolutions and pools slide a window over a padded input. Output cell (y, x) of a window of height x width cells and
stride s covers the padded cells (y s + i, x s + j) for 0 <= i < height and 0 <= j < width. There is no dilation, and a
window that would extend beyond the padding is skipped (the number of outputs is rounded down).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from frameworks import blueprint
from frameworks.blueprint import edges

Array = NDArray[np.float64]


def conv(layer: blueprint.Conv, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """2-D convolution, which in this field is a cross-correlation: the kernel is not flipped.

    out[n, y, x, f] = bias[f] + sum over i, j, c of padded[n, y s + i, x s + j, c] kernel[i, j, c, f]

    Padding has the value zero and the size given by `frameworks.blueprint.edges`: with "same" an odd cell is at the
    bottom and right, "symmetric" is kernel // 2 on every side for any input. With G groups, feature f belongs to group
    g = f // (features / G) and depends on the input channels of that group only: [g C / G, (g + 1) C / G).

    Args:
        layer: features, kernel size, stride, padding and groups.
        x: (N, H, W, C).
        kernel: (height, width, C / groups, features).
        bias: (features,), or None for a convolution without bias.

    Returns:
        (N, H', W', features).
    """
    height, width, depth, features = kernel.shape
    # Groups become an axis of their own that is multiplied group by group: (..., G, 1, C/G) @ (G, C/G, F/G).
    grouped = kernel.reshape(height, width, depth, layer.groups, features // layer.groups).transpose(0, 1, 3, 2, 4)
    total: Array | float = 0.0
    for i, j, seen in _window_cells(x, layer.kernel, layer.stride, layer.padding, 0.0):
        if layer.groups == 1:
            total = total + seen @ kernel[i, j]
        else:
            by_group = seen.reshape(*seen.shape[:3], layer.groups, depth)
            total = total + np.einsum("nyxgc,gcf->nyxgf", by_group, grouped[i, j])
    out = np.asarray(total)
    out = out.reshape(*out.shape[:3], features)
    return out if bias is None else out + bias


def batch_norm(
    layer: blueprint.BatchNorm, x: Array, mean: Array, variance: Array, offset: Array, scale: Array | None = None
) -> Array:
    """Normalisation of each channel by a mean and a variance (Ioffe & Szegedy 2015, arXiv 1502.03167).

    out = (x - mean) / sqrt(variance + epsilon) * scale + offset

    Epsilon is inside the root. Inference uses the running statistics, training those of the batch
    (`batch_statistics`). Without a scale (Keras' scale=False), scale is 1.

    Args:
        layer: epsilon.
        x: (N, H, W, C).
        mean: (C,).
        variance: (C,).
        offset: (C,); beta in the paper.
        scale: (C,); gamma in the paper.

    Returns:
        (N, H, W, C).
    """
    normalised = (x - mean) / np.sqrt(variance + layer.epsilon)
    return (normalised if scale is None else normalised * scale) + offset


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over batch, height and width, by which training normalises.

    variance = mean of (x - mean)^2, divided by all m = N H W values, not by m - 1.
    """
    axes = tuple(range(x.ndim - 1))
    return x.mean(axes), x.var(axes)


def running_statistic(layer: blueprint.BatchNorm, running: Array, fresh: Array) -> Array:
    """A running statistic after a training step: momentum * running + (1 - momentum) * fresh.

    Momentum is the fraction of the old statistic that is kept (Keras' convention; PyTorch's is 1 - momentum).
    """
    return layer.momentum * running + (1 - layer.momentum) * fresh


def fresh_variance(layer: blueprint.BatchNorm, biased: Array, values: int) -> Array:
    """The batch variance that updates the running variance, as the layer specifies: biased, or times m / (m - 1).

    PyTorch and TensorFlow's fused op use the unbiased variance, Keras' unfused code and Flax the biased one.
    """
    return biased * (values / (values - 1)) if layer.variance == "unbiased" else biased


def activation(layer: blueprint.Activation, x: Array) -> Array:
    """relu: max(x, 0). elu: x where x > 0 and exp(x) - 1 elsewhere (alpha 1)."""
    return np.maximum(x, 0) if layer.function == "relu" else np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def max_pool(layer: blueprint.MaxPool, x: Array) -> Array:
    """The maximum of each window and channel: (N, H, W, C) -> (N, H', W', C).

    A padded cell has the value `pad_value`: minus infinity, so that it never is the maximum, unless the network has
    another value (a published one pads with 0).
    """
    seen = [cell for _, _, cell in _window_cells(x, _square(layer), layer.stride, layer.padding, layer.pad_value)]
    return np.asarray(np.maximum.reduce(seen))


def average_pool(layer: blueprint.AveragePool, x: Array) -> Array:
    """The mean of each window and channel: (N, H, W, C) -> (N, H', W', C).

    border "exclude" divides by the window's cells inside the image (TensorFlow, Keras), "include" by all cells of the
    window, padded ones included (PyTorch's default).
    """

    def window_sum(values: Array) -> Array:
        cells = _window_cells(values, _square(layer), layer.stride, layer.padding, 0.0)
        return np.asarray(sum(cell for _, _, cell in cells))

    inside = window_sum(np.ones((1, *x.shape[1:3], 1))) if layer.border == "exclude" else layer.window**2
    return window_sum(x) / inside


def global_average_pool(x: Array) -> Array:
    """The mean over height and width: (N, H, W, C) -> (N, C)."""
    return np.asarray(x.mean((1, 2)))


def flatten(x: Array) -> Array:
    """(N, H, W, C) -> (N, H W C): channels vary fastest, then columns, regardless of a framework's own layout."""
    return x.reshape(len(x), -1)


def channel_slice(layer: blueprint.Slice, x: Array) -> Array:
    """Channels [start, stop)."""
    return x[..., layer.start : layer.stop]


def dropout(layer: blueprint.Dropout, x: Array, mask: Array) -> Array:
    """Inverted dropout in training: x * mask / (1 - rate), so that inference is the identity.

    mask: of x's shape; 1 keeps a unit, 0 drops it.
    """
    return x * mask / (1 - layer.rate)


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """X @ kernel + bias: (N, in) -> (N, out). PyTorch stores the kernel transposed."""
    return x @ kernel + bias


def _square(layer: blueprint.MaxPool | blueprint.AveragePool) -> tuple[int, int]:
    return layer.window, layer.window


def _window_cells(
    x: Array, window: tuple[int, int], stride: int, padding: blueprint.Padding, pad_value: float
) -> Iterator[tuple[int, int, Array]]:
    """For each cell (i, j) of the window: i, j, and the padded input's values at that cell, (N, H', W', C)."""
    sizes = zip(x.shape[1:3], window, strict=True)
    rows, columns = (edges(padding, size, cells, stride) for size, cells in sizes)
    padded = np.pad(x, [(0, 0), rows, columns, (0, 0)], constant_values=pad_value)
    last_row, last_column = (size - cells for size, cells in zip(padded.shape[1:3], window, strict=True))
    for i in range(window[0]):
        for j in range(window[1]):
            yield i, j, padded[:, i : i + last_row + 1 : stride, j : j + last_column + 1 : stride]
