"""What a network is: a few frozen layer kinds and how they nest.

A network is written once as data. Everything else follows from that text: names (paths such as
`block5.sepconv2.depthwise`), shapes, parameters, costs, and the module that each framework builds from it.

Shapes are (height, width, channels), or (channels,) after global pooling. The batch axis is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from frameworks.errors import InvalidConfiguration, TooSmall

Shape = tuple[int, ...]
Padding = Literal["same", "valid", "symmetric"]
"""same: TensorFlow's rule, ceil(n / stride) outputs, the odd cell at the bottom and right.
valid: none. symmetric: kernel // 2 on every side, whatever the input.
"""


@dataclass(frozen=True, slots=True)
class Conv:
    """2-D convolution. groups == input channels == features makes it depthwise. Kernel: HWIO, I = channels / groups."""

    name: str
    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "same"
    groups: int = 1
    bias: bool = False


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation over batch, height and width.

    momentum is the share of the old running statistic that is kept in an update (Keras' meaning).
    variance says which variance of the batch enters the running one: biased (divided by m) or unbiased (m - 1).
    """

    name: str
    epsilon: float
    momentum: float
    scale: bool = True
    variance: Literal["biased", "unbiased"] = "biased"


@dataclass(frozen=True, slots=True)
class Activation:
    """Element-wise non-linearity: relu, max(x, 0); elu, x above 0 and exp(x) - 1 below (alpha 1)."""

    name: str
    function: Literal["relu", "elu"] = "relu"


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Max pooling. Padded cells never win: they count as `pad_value`, minus infinity."""

    name: str
    window: int
    stride: int
    padding: Padding
    pad_value: float = float("-inf")


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Average pooling: of stride 1 with same padding and an odd window, or of any with valid padding.

    border: divide by the cells that lie inside the image (exclude) or by all of the window's (include).
    """

    name: str
    window: int
    border: Literal["exclude", "include"]
    stride: int = 1
    padding: Literal["same", "valid"] = "same"


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """Mean over height and width: (H, W, C) -> (C,)."""

    name: str


@dataclass(frozen=True, slots=True)
class Flatten:
    """(H, W, C) -> (H * W * C,), in that order in every framework, whatever its layout."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Channels from `start` up to, not including, `stop`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Dropout:
    """In training, keeps a unit with probability 1 - rate and divides it by that; otherwise the identity."""

    name: str
    rate: float


@dataclass(frozen=True, slots=True)
class Dense:
    """Fully connected layer with bias: (C,) -> (features,). Kernel: (in, out)."""

    name: str
    features: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """Layers one after another."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """body(x) + shortcut(x); without a shortcut the identity is added. The shortcut takes the block's own input."""

    name: str
    body: tuple[Layer, ...]
    shortcut: Sequence | None = None


@dataclass(frozen=True, slots=True)
class Branches:
    """Every branch sees the same input; outputs are concatenated along channels, in the order written."""

    name: str
    branches: tuple[Sequence, ...]


Leaf = Conv | BatchNorm | Activation | MaxPool | AveragePool | GlobalAveragePool | Flatten | Slice | Dropout | Dense
Layer = Leaf | Sequence | Residual | Branches


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """A classifier beside the network that only training runs: `layers` go on from the output of block `after`."""

    after: str
    layers: Sequence


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network: `layers` are its blocks, in the paper's words, from a picture to the logits."""

    name: str
    variant: str
    config: Any
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    auxiliary: Auxiliary | None = None


@dataclass(frozen=True, slots=True)
class LayerInstance:
    """A layer within a network: its path and the shapes of its input and output.

    A Residual is listed for its addition and Branches for its concatenation, each after the layers that it joins.
    """

    path: str
    layer: Leaf | Residual | Branches
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True, slots=True)
class Parameter:
    """One array of a network, in canonical layout.

    role: kernel, bias, scale, offset (trainable), mean, variance (running statistics).
    fan_in: how many products are summed into one output of the layer; 0 where that has no meaning.
    """

    name: str
    shape: Shape
    role: Literal["kernel", "bias", "scale", "offset", "mean", "variance"]
    fan_in: int

    @property
    def trainable(self) -> bool:
        """Whether an optimiser changes it; running statistics are not."""
        return self.role not in ("mean", "variance")


def join(prefix: str, name: str) -> str:
    """`prefix.name`, or `name` at the top."""
    return f"{prefix}.{name}" if prefix else name


def infer_shapes(network: Network, resolution: int | None = None) -> tuple[LayerInstance, ...]:
    """Every layer with its path and shapes, in the order in which inference runs them.

    Raises InvalidConfiguration if the picture is too small for the network.
    """
    return _infer_shapes(network, resolution)[0]


def infer_auxiliary_shapes(network: Network, resolution: int | None = None) -> tuple[LayerInstance, ...]:
    """The layers that only training runs; none if the network has no auxiliary classifier.

    Raises InvalidConfiguration if the picture is too small for them.
    """
    instances: list[LayerInstance] = []
    if network.auxiliary:
        _walk(network.auxiliary.layers, "", _infer_shapes(network, resolution)[1][network.auxiliary.after], instances)
    return tuple(instances)


def parameters(network: Network) -> tuple[Parameter, ...]:
    """Every parameter of the network with its canonical name and shape, in the order in which they are used."""
    instances = (*infer_shapes(network), *infer_auxiliary_shapes(network))
    return tuple(parameter for instance in instances for parameter in layer_parameters(instance))


def has_batch_norm(network: Network) -> bool:
    """Whether any layer of a forward pass is a batch norm."""
    return any(isinstance(instance.layer, BatchNorm) for instance in infer_shapes(network))


def min_resolution(network: Network) -> int:
    """The smallest square picture for which every layer still has an output.

    Raises InvalidConfiguration if the network fits no picture, whatever its size.
    """
    resolution = 1
    while not _fits(network, resolution):
        resolution += 1
    return resolution


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Cells to add before and after one axis of `size` cells under TensorFlow's "same" rule."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def edges(padding: Padding, size: int, window: int, stride: int) -> tuple[int, int]:
    """Cells to add before and after one axis of `size` cells."""
    if padding == "same":
        return same_padding(size, window, stride)
    edge = window // 2 if padding == "symmetric" else 0
    return edge, edge


def is_depthwise(layer: Conv, channels: int) -> bool:
    """Whether the convolution has one kernel slice per channel."""
    return layer.groups == channels == layer.features and channels > 1


def _infer_shapes(network: Network, resolution: int | None) -> tuple[tuple[LayerInstance, ...], dict[str, Shape]]:
    """Every layer, and the output shape of each block."""
    height, width, channels = network.input_shape
    shape: Shape = (resolution, resolution, channels) if resolution else (height, width, channels)
    instances: list[LayerInstance] = []
    ends: dict[str, Shape] = {}
    for layer in network.layers:
        ends[layer.name] = shape = _walk(layer, "", shape, instances)
    return tuple(instances), ends


def _walk(layer: Layer, prefix: str, shape: Shape, instances: list[LayerInstance]) -> Shape:
    path = join(prefix, layer.name)
    match layer:
        case Sequence(layers=layers):
            for child in layers:
                shape = _walk(child, path, shape, instances)
            return shape
        case Residual(body=body, shortcut=shortcut):
            out = shape
            for child in body:
                out = _walk(child, path, out, instances)
            added = _walk(shortcut, path, shape, instances) if shortcut else shape
            if added != out:
                raise InvalidConfiguration(f"{path}: a shortcut of shape {added} does not fit a body of shape {out}")
        case Branches(branches=branches):
            shapes = [_walk(branch, path, shape, instances) for branch in branches]
            if len({s[:-1] for s in shapes}) != 1:
                raise InvalidConfiguration(f"{path}: branches of unlike sizes {shapes} cannot be concatenated")
            out = (*shapes[0][:-1], sum(s[-1] for s in shapes))
        case _:
            out = _output_shape(layer, path, shape)
    instances.append(LayerInstance(path, layer, shape, out))
    return out


def _output_shape(layer: Leaf, path: str, shape: Shape) -> Shape:
    match layer:
        case Conv(features=features, kernel=kernel, stride=stride, padding=padding, groups=groups):
            if shape[-1] % groups or features % groups:
                raise InvalidConfiguration(
                    f"{path}: {shape[-1]} input and {features} output channels do not split into {groups} groups"
                )
            return (*_window_shape(path, shape[:2], kernel, stride, padding), features)
        case (
            MaxPool(window=window, stride=stride, padding=padding)
            | AveragePool(window=window, stride=stride, padding=padding)
        ):
            return (*_window_shape(path, shape[:2], (window, window), stride, padding), shape[-1])
        case GlobalAveragePool():
            return shape[-1:]
        case Flatten():
            return (math.prod(shape),)
        case Slice(start=start, stop=stop):
            if not 0 <= start < stop <= shape[-1]:
                raise InvalidConfiguration(f"{path}: channels {start} to {stop} are not among {shape[-1]}")
            return (*shape[:-1], stop - start)
        case Dense(features=features):
            return (features,)
        case BatchNorm() | Activation() | Dropout():
            return shape


def _window_shape(path: str, size: Shape, window: tuple[int, int], stride: int, padding: Padding) -> Shape:
    out = []
    for n, k in zip(size, window, strict=True):
        edge = k // 2 if padding == "symmetric" else 0
        cells = -(-n // stride) if padding == "same" else (n + 2 * edge - k) // stride + 1
        if cells < 1 or n < 1:
            raise TooSmall(f"{path}: a window of {k} does not fit into {n} cells")
        out.append(cells)
    return tuple(out)


def _fits(network: Network, resolution: int) -> bool:
    try:
        infer_shapes(network, resolution)
        infer_auxiliary_shapes(network, resolution)
    except TooSmall:
        return False
    return True


def layer_parameters(instance: LayerInstance) -> Iterator[Parameter]:
    """The parameters of one layer."""
    path, layer = instance.path, instance.layer
    channels = instance.input_shape[-1]
    match layer:
        case Conv(features=features, kernel=(height, width), groups=groups, bias=bias):
            fan_in = height * width * channels // groups
            yield Parameter(f"{path}.kernel", (height, width, channels // groups, features), "kernel", fan_in)
            if bias:
                yield Parameter(f"{path}.bias", (features,), "bias", fan_in)
        case BatchNorm(scale=scale):
            if scale:
                yield Parameter(f"{path}.scale", (channels,), "scale", 0)
            yield Parameter(f"{path}.offset", (channels,), "offset", 0)
            yield Parameter(f"{path}.mean", (channels,), "mean", 0)
            yield Parameter(f"{path}.variance", (channels,), "variance", 0)
        case Dense(features=features):
            yield Parameter(f"{path}.kernel", (channels, features), "kernel", channels)
            yield Parameter(f"{path}.bias", (features,), "bias", channels)
        case _:
            pass
