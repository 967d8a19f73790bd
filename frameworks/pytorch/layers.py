"""Each layer kind in PyTorch. Activations are NCHW (or channels-last in memory), kernels OIHW, dense kernels (out, in).

Every default in which frameworks differ is explicit here, at the same position as in the other frameworks' files.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frameworks import blueprint
from frameworks.blueprint import edges
from frameworks.weights import Weights

TO_NATIVE: Final = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # HWIO -> OIHW, (in, out) -> (out, in)
TO_CANONICAL: Final = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


def to_native(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Convert an array from canonical layout to the framework's."""
    return torch.tensor(np.ascontiguousarray(array.transpose(TO_NATIVE[array.ndim])), dtype=dtype)


def to_canonical(tensor: Tensor) -> np.ndarray:
    """Convert a parameter to a float64 or float32 array in canonical layout."""
    wide = tensor.detach().cpu()
    wide = wide if wide.dtype == torch.float64 else wide.float()
    return np.ascontiguousarray(wide.numpy().transpose(TO_CANONICAL[wide.ndim]))


class WithoutParameters(nn.Module):
    """A layer without parameters: it keeps the blueprint's layer, which its forward pass reads."""

    layer: Any

    def __init__(self, layer: blueprint.Layer) -> None:
        super().__init__()
        self.layer = layer


class WithKernel(nn.Module):
    """A layer with a kernel and a bias, which a convolution may lack."""

    layer: Any

    def __init__(
        self, layer: blueprint.Conv | blueprint.Dense, path: str, weights: Weights, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.layer = layer
        self.kernel = nn.Parameter(to_native(weights[f"{path}.kernel"], dtype))
        biased = isinstance(layer, blueprint.Dense) or layer.bias
        self.bias = nn.Parameter(to_native(weights[f"{path}.bias"], dtype)) if biased else None


class Conv(WithKernel):
    """Cross-correlation, no dilation. "same" is TensorFlow's rule: an extra cell is at the bottom and right."""

    layer: blueprint.Conv

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        (top, bottom), (left, right) = (
            edges(layer.padding, n, k, layer.stride) for n, k in zip(x.shape[2:], layer.kernel, strict=True)
        )
        if top == bottom and left == right:
            return F.conv2d(x, self.kernel, self.bias, layer.stride, (top, left), 1, layer.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.kernel, self.bias, layer.stride, 0, 1, layer.groups)


class BatchNorm(nn.Module):
    """Over batch, height and width. PyTorch's momentum is the share of the new statistic: 1 - the blueprint's.

    Running statistics and parameters stay in at least float32.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: blueprint.BatchNorm, path: str, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = layer
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        self.scale = nn.Parameter(to_native(weights[f"{path}.scale"], wide)) if layer.scale else None
        self.offset = nn.Parameter(to_native(weights[f"{path}.offset"], wide))
        self.register_buffer("mean", to_native(weights[f"{path}.mean"], wide))
        self.register_buffer("variance", to_native(weights[f"{path}.variance"], wide))

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        if not self.training:
            return F.batch_norm(x, self.mean, self.variance, self.scale, self.offset, False, 0.0, layer.epsilon)
        mean, variance = self.mean.clone(), self.variance.clone()  # saved for backward, so they must not change
        y = F.batch_norm(x, mean, variance, self.scale, self.offset, True, 1 - layer.momentum, layer.epsilon)
        cells = x.numel() // x.shape[1]
        biased = (cells - 1) / cells if layer.variance == "biased" else 1.0  # PyTorch updates with the unbiased one
        with torch.no_grad():
            kept = layer.momentum * self.variance
            self.mean.copy_(mean)
            self.variance.copy_(kept + (variance - kept) * biased)
        return y


class Activation(WithoutParameters):
    """Never in place: a residual block's input is used again by its shortcut."""

    layer: blueprint.Activation

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if self.layer.function == "relu" else F.elu(x)


class MaxPool(WithoutParameters):
    """Padded cells count as minus infinity. ceil_mode is the same as one padded cell at the bottom and right."""

    layer: blueprint.MaxPool

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        (top, bottom), (left, right) = (edges(layer.padding, n, layer.window, layer.stride) for n in x.shape[2:])
        if layer.pad_value == float("-inf"):
            if top == bottom and left == right:
                return F.max_pool2d(x, layer.window, layer.stride, (top, left))
            if (top, left) == (0, 0) and bottom == right < layer.stride:
                return F.max_pool2d(x, layer.window, layer.stride, ceil_mode=True)
        x = F.pad(x, (left, right, top, bottom), value=layer.pad_value)
        return F.max_pool2d(x, layer.window, layer.stride)


class AveragePool(WithoutParameters):
    """PyTorch divides by all cells of the window unless count_include_pad is off."""

    layer: blueprint.AveragePool

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        edge = layer.window // 2 if layer.padding == "same" else 0
        return F.avg_pool2d(x, layer.window, layer.stride, edge, count_include_pad=layer.border == "include")


class GlobalAveragePool(WithoutParameters):
    """(N, C, H, W) -> (N, C)."""

    layer: blueprint.GlobalAveragePool

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Flatten(WithoutParameters):
    """(N, C, H, W) -> (N, H * W * C): the canonical order is that of channels-last."""

    layer: blueprint.Flatten

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Slice(WithoutParameters):
    """Channels [start, stop), as a view."""

    layer: blueprint.Slice

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.layer.start : self.layer.stop]


class Dropout(WithoutParameters):
    """Kept units are divided by 1 - rate. `mask` (1 keeps, 0 drops), if set, replaces the random one."""

    layer: blueprint.Dropout
    mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.mask is None:
            return F.dropout(x, self.layer.rate)
        return x * self.mask.to(x) / (1 - self.layer.rate)


class Dense(WithKernel):
    """x @ kernel.T + bias."""

    layer: blueprint.Dense

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.kernel, self.bias)
