"""Each layer kind in TensorFlow. Activations are NHWC, kernels HWIO (depthwise: H, W, C, 1), dense kernels (in, out).

Every default in which frameworks differ is explicit here, at the same position as in the other frameworks' files.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from frameworks import blueprint
from frameworks.blueprint import edges, is_depthwise
from frameworks.weights import Weights


def to_native(array: np.ndarray, dtype: tf.DType, depthwise: bool = False) -> tf.Tensor:
    """Convert an array from canonical layout to the framework's."""
    return tf.constant(array.transpose(0, 1, 3, 2) if depthwise else array, dtype)


def to_canonical(variable: tf.Variable, depthwise: bool = False) -> np.ndarray:
    """Convert a parameter to a float64 or float32 array in canonical layout."""
    wide = variable if variable.dtype == tf.float64 else tf.cast(variable, tf.float32)
    array = wide.numpy()
    return np.ascontiguousarray(array.transpose(0, 1, 3, 2) if depthwise else array)


class Conv(tf.Module):
    """Cross-correlation, no dilation. "SAME" is TensorFlow's: an extra cell is at the bottom and right.

    Symmetric padding is a separate tf.pad, except where it is equal to "SAME".
    """

    def __init__(self, layer: blueprint.Conv, path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.layer = layer
        kernel = weights[f"{path}.kernel"]
        self.depthwise = is_depthwise(layer, kernel.shape[2] * layer.groups)
        self.kernel = tf.Variable(to_native(kernel, dtype, self.depthwise), name="kernel")
        self.bias = tf.Variable(to_native(weights[f"{path}.bias"], dtype), name="bias") if layer.bias else None

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        layer, stride = self.layer, self.layer.stride
        padding = layer.padding.upper()
        if layer.padding == "symmetric":
            sizes = [(n or 0, k) for n, k in zip(x.shape[1:3], layer.kernel, strict=True)]  # None in a SavedModel
            wanted, same = ([edges(how, n, k, stride) for n, k in sizes] for how in (layer.padding, "same"))
            equal = wanted == same and (stride == 1 or None not in x.shape[1:3])  # at a stride of 1 whatever the size
            padding = "SAME" if equal else "VALID"
            x = x if equal else tf.pad(x, [[0, 0], *wanted, [0, 0]])
        if self.depthwise:
            y = tf.nn.depthwise_conv2d(x, self.kernel, (1, stride, stride, 1), padding)
        else:
            y = tf.nn.conv2d(x, self.kernel, stride, padding)
        if layer.groups > 1 and not self.depthwise:
            y = tf.ensure_shape(y, y.shape)  # prevents Grappler's fusion into an op without groups
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class BatchNorm(tf.Module):
    """Over batch, height and width. Running statistics and parameters stay in at least float32.

    float64 uses the unfused form, since the fused op does not support it. The fused op is called through raw_ops since
    its wrapper silently raises any epsilon below 1.001e-5 to that value.
    """

    def __init__(self, layer: blueprint.BatchNorm, path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.layer = layer
        wide = tf.float64 if dtype == tf.float64 else tf.float32
        offset = weights[f"{path}.offset"]
        self.scale = tf.Variable(to_native(weights[f"{path}.scale"], wide), name="scale") if layer.scale else None
        self.offset = tf.Variable(to_native(offset, wide), name="offset")
        self.mean = tf.Variable(to_native(weights[f"{path}.mean"], wide), trainable=False, name="mean")
        self.variance = tf.Variable(to_native(weights[f"{path}.variance"], wide), trainable=False, name="variance")
        self.ones = np.ones(offset.shape, wide.as_numpy_dtype)  # the fused op requires a scale

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y, mean, variance = self.unfused(x, training) if x.dtype == tf.float64 else self.fused(x, training)
        if training:
            cells = tf.cast(tf.size(x) / tf.shape(x)[-1], variance.dtype)
            if self.layer.variance == "unbiased":
                variance = variance * cells / (cells - 1)
            fresh = 1 - self.layer.momentum
            self.mean.assign_add((mean - self.mean) * fresh)
            self.variance.assign_add((variance - self.variance) * fresh)
        return y

    def unfused(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The output, and the mean and biased variance by which it was normalised."""
        mean, variance = tf.nn.moments(x, (0, 1, 2)) if training else (self.mean, self.variance)
        return tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, self.layer.epsilon), mean, variance

    def fused(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The same by the fused op, which returns the batch's unbiased variance."""
        empty = tf.zeros(0)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.ones if self.scale is None else self.scale,
            offset=self.offset,
            mean=empty if training else self.mean,
            variance=empty if training else self.variance,
            epsilon=self.layer.epsilon,
            is_training=training,
        )
        if not training:
            return y, mean, variance
        cells = tf.cast(tf.size(x) / tf.shape(x)[-1], variance.dtype)
        return y, mean, variance * (cells - 1) / cells


class Activation(tf.Module):
    """ReLU, or ELU with alpha 1."""

    def __init__(self, layer: blueprint.Activation) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.relu(x) if self.layer.function == "relu" else tf.nn.elu(x)


class MaxPool(tf.Module):
    """Padded cells count as minus infinity, as with TensorFlow's "SAME"; other paddings are a separate tf.pad."""

    def __init__(self, layer: blueprint.MaxPool) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        layer = self.layer
        if layer.pad_value == float("-inf") and layer.padding != "symmetric":
            return tf.nn.max_pool2d(x, layer.window, layer.stride, layer.padding.upper())
        cells = [edges(layer.padding, n, layer.window, layer.stride) for n in x.shape[1:3]]
        x = tf.pad(x, [[0, 0], *cells, [0, 0]], constant_values=tf.cast(layer.pad_value, x.dtype))
        return tf.nn.max_pool2d(x, layer.window, layer.stride, "VALID")


class AveragePool(tf.Module):
    """TensorFlow divides by the cells inside the image; to include the border, it is padded beforehand."""

    def __init__(self, layer: blueprint.AveragePool) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        window, stride = self.layer.window, self.layer.stride
        if self.layer.padding == "valid" or self.layer.border == "exclude":
            return tf.nn.avg_pool2d(x, window, stride, self.layer.padding.upper())
        edge = [window // 2, window // 2]
        return tf.nn.avg_pool2d(tf.pad(x, [[0, 0], edge, edge, [0, 0]]), window, stride, "VALID")


class GlobalAveragePool(tf.Module):
    """(N, H, W, C) -> (N, C)."""

    def __init__(self, layer: blueprint.GlobalAveragePool) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.reduce_mean(x, (1, 2))


class Flatten(tf.Module):
    """(N, H, W, C) -> (N, H * W * C)."""

    def __init__(self, layer: blueprint.Flatten) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.reshape(x, (-1, math.prod(x.shape[1:])))


class Slice(tf.Module):
    """Channels [start, stop)."""

    def __init__(self, layer: blueprint.Slice) -> None:
        super().__init__()
        self.layer = layer

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return x[..., self.layer.start : self.layer.stop]


class Dropout(tf.Module):
    """Kept units are divided by 1 - rate. `mask` (1 keeps, 0 drops), if set, replaces the random one."""

    def __init__(self, layer: blueprint.Dropout) -> None:
        super().__init__()
        self.layer = layer
        self.mask: tf.Tensor | None = None

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return x
        if self.mask is None:
            return tf.nn.dropout(x, self.layer.rate)
        return x * tf.cast(self.mask, x.dtype) / (1 - self.layer.rate)


class Dense(tf.Module):
    """x @ kernel + bias."""

    def __init__(self, layer: blueprint.Dense, path: str, weights: Weights, dtype: tf.DType) -> None:
        super().__init__()
        self.layer = layer
        self.kernel = tf.Variable(to_native(weights[f"{path}.kernel"], dtype), name="kernel")
        self.bias = tf.Variable(to_native(weights[f"{path}.bias"], dtype), name="bias")

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias)
