"""The intermediate representation of a network: a few immutable layer kinds and how they nest.

A network is written once, as data. Everything else is derived from it: parameter names (paths such as
`block5.sepconv2.depthwise`), shapes, parameters, costs, and the module that each framework builds.

Shapes are (height, width, channels), or (channels,) after global pooling; the batch dimension is omitted.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from frameworks.errors import InvalidConfiguration, TooSmall

Shape = tuple[int, ...]
Padding = Literal["same", "valid", "symmetric"]
"""same: TensorFlow's rule, ceil(n / stride) outputs; where padding is odd, the extra cell is at the bottom and right.
valid: no padding. symmetric: kernel // 2 on every side, regardless of the input size (PyTorch's usual form).
"""


class Conv(msgspec.Struct, frozen=True):
    """2-D convolution. groups == input channels == features makes it depthwise. Kernel: HWIO, I = channels / groups."""

    name: str
    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "same"
    groups: int = 1
    bias: bool = False


class BatchNorm(msgspec.Struct, frozen=True):
    """Batch normalisation over batch, height and width.

    epsilon: added to the variance before the square root.
    momentum: fraction of the old running statistic that an update keeps (Keras' convention; PyTorch's is 1 - momentum).
    scale: whether there is a learned scale (gamma); the offset (beta) is always there.
    variance: which batch variance updates the running one: biased (divided by m) or unbiased (divided by m - 1).
    """

    name: str
    epsilon: float
    momentum: float
    scale: bool = True
    variance: Literal["biased", "unbiased"] = "biased"


class Activation(msgspec.Struct, frozen=True):
    """Element-wise non-linearity: relu is max(x, 0); elu is x where x > 0 and exp(x) - 1 elsewhere (alpha 1)."""

    name: str
    function: Literal["relu", "elu"] = "relu"


class MaxPool(msgspec.Struct, frozen=True):
    """Max pooling. Padding has the value `pad_value`: minus infinity, so that it never is the maximum."""

    name: str
    window: int
    stride: int
    padding: Padding
    pad_value: float = float("-inf")


class AveragePool(msgspec.Struct, frozen=True):
    """Average pooling: with same padding only for stride 1 and an odd window; with valid padding for any.

    border: whether padded cells count in the divisor: `exclude` divides by the cells inside the image (TensorFlow's
    rule), `include` by all cells of the window (PyTorch's default).
    """

    name: str
    window: int
    border: Literal["exclude", "include"]
    stride: int = 1
    padding: Literal["same", "valid"] = "same"


class GlobalAveragePool(msgspec.Struct, frozen=True):
    """Mean over height and width: (H, W, C) -> (C,)."""

    name: str


class Flatten(msgspec.Struct, frozen=True):
    """(H, W, C) -> (H * W * C,), in that order in every framework, regardless of its memory layout."""

    name: str


class Slice(msgspec.Struct, frozen=True):
    """Channels [start, stop)."""

    name: str
    start: int
    stop: int


class Dropout(msgspec.Struct, frozen=True):
    """Inverted dropout: training keeps a unit with probability 1 - rate and divides it by 1 - rate."""

    name: str
    rate: float


class Dense(msgspec.Struct, frozen=True):
    """Fully connected layer with bias: (C,) -> (features,). Kernel: (in, out)."""

    name: str
    features: int


class Sequence(msgspec.Struct, frozen=True):
    """Layers one after another."""

    name: str
    layers: tuple[Layer, ...]


class Residual(msgspec.Struct, frozen=True):
    """body(x) + shortcut(x), or body(x) + x without a shortcut. Both take the block's input."""

    name: str
    body: tuple[Layer, ...]
    shortcut: Sequence | None = None


class Branches(msgspec.Struct, frozen=True):
    """Parallel branches with the same input, whose outputs are concatenated along channels in the order written."""

    name: str
    branches: tuple[Sequence, ...]


Leaf = Conv | BatchNorm | Activation | MaxPool | AveragePool | GlobalAveragePool | Flatten | Slice | Dropout | Dense
Layer = Leaf | Sequence | Residual | Branches


class Auxiliary(msgspec.Struct, frozen=True):
    """An auxiliary classifier, which only training runs: `layers` take the output of block `after`."""

    after: str
    layers: Sequence


class Network(msgspec.Struct, frozen=True):
    """A whole network, from images to logits.

    name: of the model. variant: name of its configuration. config: the configuration itself.
    input_shape: of one image, (height, width, channels).
    layers: its blocks, named as in the paper; the last one returns the logits.
    auxiliary: the auxiliary classifier, None without one.
    """

    name: str
    variant: str
    config: Any
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    auxiliary: Auxiliary | None = None


class LayerInstance(msgspec.Struct, frozen=True):
    """A layer within a network: its path and the shapes of its input and output.

    A Residual is listed for its addition and Branches for its concatenation, each after the layers that it joins.
    """

    path: str
    layer: Leaf | Residual | Branches
    input_shape: Shape
    output_shape: Shape


class Parameter(msgspec.Struct, frozen=True):
    """One array of a network, in canonical layout.

    name: path of its layer and its role, joined by a dot. shape: in canonical layout (see `frameworks.weights`).
    role: kernel, bias, scale, offset (trainable), mean, variance (running statistics).
    fan_in: number of inputs to one output value of the layer; 0 where that has no meaning.
    """

    name: str
    shape: Shape
    role: Literal["kernel", "bias", "scale", "offset", "mean", "variance"]
    fan_in: int

    @property
    def trainable(self) -> bool:
        """Whether an optimiser updates it: everything but running statistics."""
        return self.role not in ("mean", "variance")


def join(prefix: str, name: str) -> str:
    """`prefix.name`, or `name` if the prefix is empty."""
    return f"{prefix}.{name}" if prefix else name


def infer_shapes(network: Network, resolution: int | None = None) -> tuple[LayerInstance, ...]:
    """Infer the shapes of every layer that inference runs.

    Args:
        network: the blueprint.
        resolution: height and width of the input in pixels; None for the network's own.

    Returns:
        Every layer with its path and shapes, in execution order.

    Raises:
        TooSmall: the image is so small that some layer has no output.
        InvalidConfiguration: layers do not fit together.
    """
    height, width, channels = network.input_shape
    shape: Shape = (resolution, resolution, channels) if resolution else (height, width, channels)
    instances: list[LayerInstance] = []
    for layer in network.layers:
        shape = _walk(layer, "", shape, instances)
    return tuple(instances)


def infer_auxiliary_shapes(
    network: Network, resolution: int | None = None, enlarge: bool = False
) -> tuple[LayerInstance, ...]:
    """Infer the shapes of the auxiliary classifier, which only training runs.

    Args:
        network: the blueprint.
        resolution: height and width of the input in pixels; None for the network's own.
        enlarge: whether an image that is too small for it counts as the smallest that is not. The classifier's
            parameters are those of any resolution, and inference has them as well.

    Returns:
        Every layer of it, in execution order; empty if the network has none.

    Raises:
        TooSmall: the image is too small for inference or, unless `enlarge` is set, for this classifier.
        InvalidConfiguration: layers do not fit together.
    """
    if not network.auxiliary:
        return ()
    block = network.auxiliary.after
    *_, last = (each for each in infer_shapes(network, resolution) if each.path.partition(".")[0] == block)
    shape = last.output_shape
    while True:
        instances: list[LayerInstance] = []
        try:
            _walk(network.auxiliary.layers, "", shape, instances)
        except TooSmall:
            if not enlarge:
                raise
            shape = (shape[0] + 1, shape[1] + 1, *shape[2:])
        else:
            return tuple(instances)


def require_trainable(network: Network, size: tuple[int, ...], features: tuple[int, ...]) -> None:
    """Raise TooSmall if an image is too small for the auxiliary classifier; inference may take it nevertheless.

    Args:
        network: a network with an auxiliary classifier.
        size: height and width of the image, for the message.
        features: shape of what the classifier takes, (height, width, channels); the height or width of a graph that
            takes any size is None, and is not checked.
    """
    if network.auxiliary is None or None in features:
        return
    try:
        _walk(network.auxiliary.layers, "", features, [])
    except TooSmall:
        raise TooSmall(
            f"{network.name}/{network.variant}: {size[0]} x {size[1]} px are too small for the auxiliary classifier, "
            f"which training runs and inference does not; the minimum for training is "
            f"{min_resolution(network, training=True)}, for inference {min_resolution(network)}"
        ) from None


def parameters(network: Network) -> tuple[Parameter, ...]:
    """Every parameter of the network, the auxiliary classifier's last, otherwise in order of use."""
    instances = (*infer_shapes(network), *infer_auxiliary_shapes(network, enlarge=True))
    return tuple(parameter for instance in instances for parameter in layer_parameters(instance))


def has_batch_norm(network: Network) -> bool:
    """Whether inference runs a batch norm."""
    return any(isinstance(instance.layer, BatchNorm) for instance in infer_shapes(network))


def min_resolution(network: Network, training: bool = False) -> int:
    """The smallest resolution, in pixels, at which every layer has an output.

    Args:
        network: the blueprint.
        training: whether the auxiliary classifier runs as well, which may take larger images than inference does.

    Raises:
        InvalidConfiguration: the layers do not fit together.
    """

    def fits(resolution: int) -> bool:
        try:
            infer_shapes(network, resolution)
            if training:
                infer_auxiliary_shapes(network, resolution)
        except TooSmall:
            return False
        return True

    enough = 1
    while not fits(enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=enough // 2 + 1, key=fits)  # larger images than one that fits do, too


def edges(padding: Padding, size: int, window: int, stride: int) -> tuple[int, int]:
    """Padding before and after one axis of `size` cells."""
    if padding == "same":
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2
    edge = window // 2 if padding == "symmetric" else 0
    return edge, edge


def is_depthwise(layer: Conv, channels: int) -> bool:
    """Whether a convolution of that many input channels is depthwise, with a channel multiplier of 1."""
    return layer.groups == channels == layer.features and channels > 1


def _walk(layer: Layer, prefix: str, shape: Shape, instances: list[LayerInstance]) -> Shape:
    """Append a layer and those within it to `instances`, and return its output shape. Raises as `infer_shapes` does."""
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
        case Conv() | MaxPool() | AveragePool():
            features = layer.features if isinstance(layer, Conv) else shape[-1]
            window = layer.kernel if isinstance(layer, Conv) else (layer.window, layer.window)
            groups = layer.groups if isinstance(layer, Conv) else 1
            if shape[-1] % groups or features % groups:
                raise InvalidConfiguration(
                    f"{path}: {shape[-1]} input and {features} output channels do not split into {groups} groups"
                )
            cells = []
            for n, k in zip(shape[:2], window, strict=True):
                padded = n + sum(edges(layer.padding, n, k, layer.stride))
                cells.append((padded - k) // layer.stride + 1)
                if cells[-1] < 1 or n < 1:
                    raise TooSmall(f"{path}: a window of {k} does not fit into {n} cells")
            out = (*cells, features)
        case GlobalAveragePool():
            out = shape[-1:]
        case Flatten():
            out = (math.prod(shape),)
        case Slice(start=start, stop=stop):
            if not 0 <= start < stop <= shape[-1]:
                raise InvalidConfiguration(f"{path}: channels {start} to {stop} are not among {shape[-1]}")
            out = (*shape[:-1], stop - start)
        case Dense(features=features):
            out = (features,)
        case BatchNorm() | Activation() | Dropout():
            out = shape
    instances.append(LayerInstance(path, layer, shape, out))
    return out


def layer_parameters(instance: LayerInstance) -> Iterator[Parameter]:
    """The parameters of one layer; none for kinds without any."""
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
