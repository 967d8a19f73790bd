"""Each layer kind in JAX. Activations are NHWC, kernels HWIO (depthwise: H, W, 1, C), dense kernels (in, out).

Every default in which frameworks differ is explicit here, at the same position as in the other frameworks' files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal, get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from frameworks import blueprint
from frameworks.blueprint import edges, is_depthwise
from frameworks.errors import InvalidConfiguration
from frameworks.weights import Weights

NHWC: Final = ("NHWC", "HWIO", "NHWC")
HIGHEST: Final = lax.Precision.HIGHEST  # float32 stays float32 on devices that would take TF32 or bfloat16 instead


@dataclass(frozen=True, slots=True)
class NumericPolicy:
    """How numbers are represented and multiplied.

    dtype: of kernels and activations. matmul: precision of every matmul and convolution; for float32, DEFAULT means
    TF32 on a GPU that has it and has no effect on a CPU.
    """

    dtype: jnp.dtype
    matmul: lax.Precision = HIGHEST


@dataclass(frozen=True, slots=True)
class ConvLowering:
    """How convolutions and pools are expressed; XLA runs some equivalent forms much faster than others.

    depthwise: a grouped convolution, or the sum over the window of shifted images times one weight per channel.
    pointwise: a convolution, or a matmul over the channel axis.
    unpadded: an unpadded convolution of stride 1 as it is, or a size-preserving one whose border is cropped.
    strided: a convolution of stride 2 as it is, or im2col and a matmul.
    pools: a windowed reduction, or the maximum or sum of shifted images.
    """

    depthwise: Literal["grouped", "shifted"] = "grouped"
    pointwise: Literal["convolution", "product"] = "convolution"
    unpadded: Literal["plain", "cropped"] = "plain"
    strided: Literal["plain", "columns"] = "plain"
    pools: Literal["windows", "shifted"] = "windows"


DEFAULT_LOWERING: Final = ConvLowering()


def require_lowering(lowering: ConvLowering) -> None:
    """Raise InvalidConfiguration for anything but a ConvLowering whose fields have one of their values."""
    if not isinstance(lowering, ConvLowering):
        raise InvalidConfiguration(f"lowering is {lowering!r}, expected a frameworks.jax.layers.ConvLowering")
    for name, hint in get_type_hints(ConvLowering).items():
        if getattr(lowering, name) not in get_args(hint):
            raise InvalidConfiguration(
                f"lowering's {name} is {getattr(lowering, name)!r}, expected {' or '.join(get_args(hint))}"
            )


def to_native(array: np.ndarray, dtype: jnp.dtype) -> jax.Array:
    """Convert an array; the canonical layout is the framework's."""
    return jnp.asarray(array, dtype)


def to_canonical(array: jax.Array) -> np.ndarray:
    """Convert a parameter to a float64 or float32 array in canonical layout."""
    return np.asarray(array if array.dtype == jnp.float64 else array.astype(jnp.float32))


class Conv(nnx.Module):
    """Cross-correlation, no dilation. "same" is TensorFlow's rule: an extra cell is at the bottom and right."""

    def __init__(
        self, layer: blueprint.Conv, path: str, weights: Weights, policy: NumericPolicy, lowering: ConvLowering
    ) -> None:
        self.layer = layer
        self.lowering = lowering
        self.matmul_precision = policy.matmul
        self.kernel = nnx.Param(to_native(weights[f"{path}.kernel"], policy.dtype))
        self.bias = nnx.Param(to_native(weights[f"{path}.bias"], policy.dtype)) if layer.bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.convolve(x, self.kernel[...])
        return y if self.bias is None else y + self.bias[...]

    def convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        layer = self.layer
        cells = [edges(layer.padding, n, k, layer.stride) for n, k in zip(x.shape[1:3], layer.kernel, strict=True)]
        if self.lowering.depthwise == "shifted" and is_depthwise(layer, x.shape[3]) and layer.stride == 1:
            return _shifted(x, kernel, cells)
        if self.lowering.pointwise == "product" and layer.kernel == (1, 1) and layer.groups == 1:
            return _matmul(x[:, :: layer.stride, :: layer.stride], kernel, self.matmul_precision)
        if self.lowering.strided == "columns" and layer.stride > 1 and layer.groups == 1:
            padded = jnp.pad(x, [(0, 0), *cells, (0, 0)])
            columns = jnp.concatenate(_shifts(padded, layer.kernel, layer.stride), 3)
            return _matmul(columns, kernel, self.matmul_precision)
        if self.lowering.unpadded == "cropped" and _shrinks(layer, cells):
            return _cropped(x, kernel, self.matmul_precision)
        return lax.conv_general_dilated(
            x, kernel, (layer.stride, layer.stride), cells,
            dimension_numbers=NHWC, feature_group_count=layer.groups, precision=self.matmul_precision,
        )


class BatchNorm(nnx.Module):
    """Over batch, height and width. Statistics, parameters and the normalisation itself stay in at least float32."""

    def __init__(self, layer: blueprint.BatchNorm, path: str, weights: Weights, policy: NumericPolicy) -> None:
        self.layer = layer
        wide = jnp.float64 if policy.dtype == jnp.float64 else jnp.float32
        self.scale = nnx.Param(to_native(weights[f"{path}.scale"], wide)) if layer.scale else None
        self.offset = nnx.Param(to_native(weights[f"{path}.offset"], wide))
        self.mean = nnx.BatchStat(to_native(weights[f"{path}.mean"], wide))
        self.variance = nnx.BatchStat(to_native(weights[f"{path}.variance"], wide))
        self.use_running_average = True  # flax's name: train() and eval() set it

    def __call__(self, x: jax.Array) -> jax.Array:
        mean, variance = self.mean[...], self.variance[...]
        wide = x.astype(mean.dtype)
        if not self.use_running_average:
            mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))  # the biased variance normalises
            self.update(mean, variance, x.size // x.shape[-1])
        gain = lax.rsqrt(variance + self.layer.epsilon)
        gain = gain if self.scale is None else gain * self.scale[...]
        return ((wide - mean) * gain + self.offset[...]).astype(x.dtype)

    def update(self, mean: jax.Array, variance: jax.Array, cells: int) -> None:
        """Update the running statistics from those of a batch with `cells` values per channel."""
        kept, fresh = self.layer.momentum, 1 - self.layer.momentum
        if self.layer.variance == "unbiased":
            variance = variance * (cells / (cells - 1))
        self.mean[...] = kept * self.mean[...] + fresh * mean
        self.variance[...] = kept * self.variance[...] + fresh * variance


class Activation(nnx.Module):
    """ReLU, or ELU with alpha 1."""

    def __init__(self, layer: blueprint.Activation) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(x) if self.layer.function == "relu" else jax.nn.elu(x)


class MaxPool(nnx.Module):
    """Padded cells count as minus infinity, the start value of the maximum; another value is padded beforehand."""

    def __init__(self, layer: blueprint.MaxPool, lowering: ConvLowering) -> None:
        self.layer = layer
        self.lowering = lowering

    def __call__(self, x: jax.Array) -> jax.Array:
        layer = self.layer
        cells = [(0, 0), *(edges(layer.padding, n, layer.window, layer.stride) for n in x.shape[1:3]), (0, 0)]
        if self.lowering.pools == "shifted":
            padded = jnp.pad(x, cells, constant_values=layer.pad_value)
            return reduce(jnp.maximum, _shifts(padded, (layer.window, layer.window), layer.stride))
        if layer.pad_value != float("-inf"):
            x, cells = jnp.pad(x, cells, constant_values=layer.pad_value), [(0, 0)] * 4
        window, strides = (1, layer.window, layer.window, 1), (1, layer.stride, layer.stride, 1)
        return lax.reduce_window(x, np.asarray(-np.inf, x.dtype), lax.max, window, strides, cells)


class AveragePool(nnx.Module):
    """Sums of the window, divided by its cells inside the image or by all of them."""

    def __init__(self, layer: blueprint.AveragePool, lowering: ConvLowering) -> None:
        self.layer = layer
        self.lowering = lowering

    def __call__(self, x: jax.Array) -> jax.Array:
        total = self.sum(x)
        if self.layer.border == "include" or self.layer.padding == "valid":
            return total / self.layer.window**2
        return total / self.sum(jnp.ones((1, *x.shape[1:3], 1), x.dtype))

    def sum(self, x: jax.Array) -> jax.Array:
        layer = self.layer
        edge = layer.window // 2 if layer.padding == "same" else 0
        cells = [(0, 0), (edge, edge), (edge, edge), (0, 0)]
        if self.lowering.pools == "shifted":
            return reduce(jnp.add, _shifts(jnp.pad(x, cells), (layer.window, layer.window), layer.stride))
        window, strides = (1, layer.window, layer.window, 1), (1, layer.stride, layer.stride, 1)
        return lax.reduce_window(x, np.asarray(0, x.dtype), lax.add, window, strides, cells)


class GlobalAveragePool(nnx.Module):
    """(N, H, W, C) -> (N, C)."""

    def __init__(self, layer: blueprint.GlobalAveragePool) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.mean((1, 2))


class Flatten(nnx.Module):
    """(N, H, W, C) -> (N, H * W * C)."""

    def __init__(self, layer: blueprint.Flatten) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], -1)


class Slice(nnx.Module):
    """Channels [start, stop)."""

    def __init__(self, layer: blueprint.Slice) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        return x[..., self.layer.start : self.layer.stop]


class Dropout(nnx.Module):
    """Kept units are divided by 1 - rate. `mask` (1 keeps, 0 drops), if set, replaces the random one."""

    def __init__(self, layer: blueprint.Dropout) -> None:
        self.layer = layer
        self.rngs = nnx.Rngs(dropout=0)
        self.mask: jax.Array | None = nnx.data(None)
        self.deterministic = True  # flax's name: train() and eval() set it

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.deterministic:
            return x
        keep = 1 - self.layer.rate
        mask = jax.random.bernoulli(self.rngs.dropout(), keep, x.shape) if self.mask is None else self.mask
        return x * mask.astype(x.dtype) / keep


class Dense(nnx.Module):
    """x @ kernel + bias."""

    def __init__(self, layer: blueprint.Dense, path: str, weights: Weights, policy: NumericPolicy) -> None:
        self.layer = layer
        self.matmul_precision = policy.matmul
        self.kernel = nnx.Param(to_native(weights[f"{path}.kernel"], policy.dtype))
        self.bias = nnx.Param(to_native(weights[f"{path}.bias"], policy.dtype))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.matmul(x, self.kernel[...], precision=self.matmul_precision) + self.bias[...]


def _matmul(x: jax.Array, kernel: jax.Array, precision: lax.Precision) -> jax.Array:
    """Multiply channels by the kernel as a matrix (window cells x input channels, output channels)."""
    return jnp.einsum("nhwi,io->nhwo", x, kernel.reshape(-1, kernel.shape[3]), precision=precision)


def _shrinks(layer: blueprint.Conv, cells: list[tuple[int, int]]) -> bool:
    """Whether it is an unpadded convolution of stride 1 with a window of odd size larger than 1 x 1."""
    odd = all(k % 2 for k in layer.kernel)
    return layer.stride == 1 and layer.groups == 1 and odd and layer.kernel != (1, 1) and not any(map(any, cells))


def _cropped(x: jax.Array, kernel: jax.Array, precision: lax.Precision) -> jax.Array:
    """An unpadded convolution of stride 1, as a size-preserving one whose border is cropped."""
    top, left = (k // 2 for k in kernel.shape[:2])
    whole = lax.conv_general_dilated(
        x, kernel, (1, 1), [(top, top), (left, left)], dimension_numbers=NHWC, precision=precision
    )
    return whole[:, top : whole.shape[1] - top, left : whole.shape[2] - left]


def _shifted(x: jax.Array, kernel: jax.Array, edges: list[tuple[int, int]]) -> jax.Array:
    """A depthwise convolution of stride 1 as height x width shifted multiply-adds."""
    window = kernel.shape[:2]
    shifts = _shifts(jnp.pad(x, [(0, 0), *edges, (0, 0)]), window, 1)
    return reduce(jnp.add, (part * kernel[divmod(i, window[1])][0] for i, part in enumerate(shifts)))


def _shifts(padded: jax.Array, window: tuple[int, ...], stride: int) -> list[jax.Array]:
    """For each cell of a window, row by row, the values of a padded image under it at all window positions."""
    height, width = window
    last = [(n - k) // stride * stride + 1 for n, k in zip(padded.shape[1:3], window, strict=True)]
    return [
        padded[:, i : i + last[0] : stride, j : j + last[1] : stride] for i in range(height) for j in range(width)
    ]
