"""Small random networks of every layer kind, drawn by hypothesis, and what is computed of them.

A network has about MAX_LAYERS layers at most and takes images of 3 to 17 pixels a side, rarely square: mistakes in
strides, padding and borders then show in a few cells, and a case takes milliseconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from frameworks.blueprint import (
    Activation,
    Auxiliary,
    AveragePool,
    BatchNorm,
    Branches,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    Padding,
    Residual,
    Sequence,
    Shape,
    Slice,
    infer_auxiliary_shapes,
    infer_shapes,
)
from frameworks.weights import initial
from xibench.analysis.forward import OFFSET

MAX_LAYERS: Final = 8
PADDINGS: Final[tuple[Padding, ...]] = ("same", "valid", "symmetric")
EPSILONS: Final = (1e-3, 1e-5)
MAX_DEPTH: Final = 2  # of joins within joins
MIN_CELLS: Final = 32  # values per channel that a batch's statistics are taken over, at least

Arrays = dict[str, NDArray[np.floating[Any]]]


def describe(value: object) -> str:
    """A layer or network as Python that builds it; what has its default is left out."""
    if isinstance(value, tuple):
        inside = ", ".join(map(describe, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if not isinstance(value, msgspec.Struct):
        return repr(value)
    parts = [
        f"{field.name}={describe(getattr(value, field.name))}"
        for field in msgspec.structs.fields(value)
        if field.required or getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


def deviation(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Max |left - right| / max |right|; 0 if both are 0 everywhere, infinite for different shapes or NaN."""
    if left.shape != right.shape or not np.isfinite(left).all():
        return float("inf")
    largest, difference = float(np.abs(right).max()), float(np.abs(left - right).max())
    return difference / largest if largest else float("inf") if difference else 0.0


def worst_deviation(left: Arrays, right: Arrays) -> tuple[float, str]:
    """Return the largest deviation of any array, and the name of that array."""
    assert left.keys() == right.keys()
    return max((deviation(left[name], right[name]), name) for name in right)


@st.composite
def networks(draw: DrawFn) -> Network:
    """A network of 1 to MAX_LAYERS layers of images, of a head that makes vectors of them, or of both.

    Some have an auxiliary classifier.
    """
    numbers = itertools.count(1)
    sides = st.integers(3, 17)
    input_shape = (draw(sides), draw(sides), draw(st.sampled_from((3, 1, 2, 4, 6))))
    layers = draw(chains(input_shape, MAX_LAYERS, MAX_DEPTH, numbers, least=0))
    auxiliary = None
    spatial = [layer.name for layer in layers]
    if spatial and draw(st.integers(0, 5)) == 5:
        beside = (Conv("conv", 3, (1, 1)), BatchNorm("bn", 1e-3, 0.9), GlobalAveragePool("pool"), Dense("dense", 2))
        auxiliary = Auxiliary(draw(st.sampled_from(spatial)), Sequence("auxiliary", beside))
    if not layers or draw(st.booleans()):
        layers = (*layers, *draw(_heads([input_shape, *ends(input_shape, layers)][-1], numbers)))
    return Network("random", "default", None, input_shape, layers, auxiliary)


def ends(input_shape: Shape, layers: tuple[Layer, ...]) -> list[Shape]:
    """The output shape of each of these layers by the blueprint's shape inference."""
    found = []
    shape = input_shape
    for layer in layers:
        found.append(shape := output_shape(layer, shape))
    return found


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The output shape of one layer. `place` takes images alone: a vector comes from one of 1 x 1."""
    if len(shape) == 3:
        height, width, channels = shape
        return infer_shapes(Network("part", "default", None, (height, width, channels), (layer,)))[-1].output_shape
    vector = (1, 1, shape[0])
    return infer_shapes(Network("part", "default", None, vector, (Flatten("flatten"), layer)))[-1].output_shape


@st.composite
def chains(
    draw: DrawFn, shape: Shape, most: int, depth: int, numbers: Iterator[int], least: int = 1
) -> tuple[Layer, ...]:
    """Layers one after another, `least` to `most` of them. depth: how deep they may nest.

    Whether another one follows is drawn before each: hypothesis then shrinks a network by leaving layers out.
    """
    layers: list[Layer] = []
    count = 0
    while count < most and (count < least or draw(MORE)):
        kinds = VECTOR_KINDS if len(shape) == 1 else (*SPATIAL_KINDS, *(JOINS if depth else ()))
        layer = draw(_layers(draw(st.sampled_from(kinds)), shape, most - count, depth, numbers))
        layers.append(layer)
        shape = output_shape(layer, shape)
        count += _size(layer)
    return tuple(layers)


MORE: Final = st.integers(0, 7).map(bool)
# The simpler kinds first: hypothesis shrinks towards them.
VECTOR_KINDS: Final = ("dense", "activation", "dropout", "slice")
SPATIAL_KINDS: Final = (
    "convolution", "convolution", "batch_norm", "activation", "max_pool", "average_pool", "depthwise", "slice",
    "batch_norm",
)  # fmt: skip
JOINS: Final = ("sequence", "residual", "branches")


def _size(layer: Layer) -> int:
    """How many layers it holds, itself if it joins none."""
    match layer:
        case Sequence(layers=inside):
            return sum(map(_size, inside))
        case Residual(body=body, shortcut=shortcut):
            return sum(map(_size, (*body, *(shortcut.layers if shortcut else ()))))
        case Branches(branches=branches):
            return sum(map(_size, branches))
        case _:
            return 1


@st.composite
def _heads(draw: DrawFn, shape: Shape, numbers: Iterator[int]) -> tuple[Layer, ...]:
    """What makes a vector of an image, and up to three layers of vectors; at times a block of its own."""
    first: Layer = GlobalAveragePool("global_average_pool") if draw(st.booleans()) else Flatten("flatten")
    layers = (first, *draw(chains(output_shape(first, shape), 3, 0, numbers, least=0)))
    return (Sequence("head", layers),) if draw(st.booleans()) else layers


@st.composite
def _layers(draw: DrawFn, kind: str, shape: Shape, most: int, depth: int, numbers: Iterator[int]) -> Layer:
    """A layer of this kind that fits the shape; a join of about `most` layers at most."""
    name = f"{kind}{next(numbers)}"
    match kind:
        case "sequence":
            return Sequence(name, draw(chains(shape, min(most, 3), depth - 1, numbers)))
        case "residual":
            return draw(_residuals(name, shape, numbers))
        case "branches":
            return draw(_branches(name, shape, numbers))
        case _:
            return draw(_leaves(kind, name, shape))


@st.composite
def _leaves(draw: DrawFn, kind: str, name: str, shape: Shape) -> Layer:
    channels = shape[-1]
    match kind:
        case "convolution":
            return draw(convolutions(name, shape))
        case "depthwise":
            window, stride, padding = draw(windows(shape))
            return Conv(name, channels, window, stride, padding, channels, draw(st.booleans()))
        case "batch_norm":
            return draw(batch_norms(name))
        case "activation":
            return Activation(name, draw(st.sampled_from(("relu", "elu"))))
        case "max_pool":
            (side, _), stride, padding = draw(windows(shape, square=True))
            return MaxPool(name, side, stride, padding, draw(st.sampled_from((float("-inf"), 0.0))))
        case "average_pool":
            return draw(_average_pools(name, shape))
        case "slice":
            start = draw(st.integers(0, channels - 1))
            return Slice(name, start, draw(st.integers(start + 1, channels)))
        case "dropout":
            return Dropout(name, draw(st.sampled_from((0.5, 0.2))))
        case _:
            return Dense(name, draw(st.integers(1, 5)))


@st.composite
def windows(draw: DrawFn, shape: Shape, square: bool = False) -> tuple[tuple[int, int], int, Padding]:
    """A window, a stride and a padding under which the input has an output."""
    padding = draw(st.sampled_from(PADDINGS))
    most = [min(4, side) if padding == "valid" else 4 for side in shape[:2]]
    height = draw(st.integers(1, min(most) if square else most[0]))
    width = height if square else draw(st.integers(1, most[1]))
    return (height, width), draw(st.integers(1, 3)), padding


@st.composite
def convolutions(draw: DrawFn, name: str, shape: Shape) -> Conv:
    """A convolution, often in groups, with as many features to each as comes."""
    window, stride, padding = draw(windows(shape))
    groups = draw(st.sampled_from([n for n in range(1, shape[-1] + 1) if shape[-1] % n == 0]))
    features = groups * draw(st.integers(1, max(1, 6 // groups)))
    return Conv(name, features, window, stride, padding, groups, draw(st.booleans()))


@st.composite
def batch_norms(draw: DrawFn, name: str) -> BatchNorm:
    """A batch norm with every combination of its defaults."""
    variances: tuple[Literal["biased", "unbiased"], ...] = ("biased", "unbiased")
    return BatchNorm(
        name, draw(st.sampled_from(EPSILONS)), draw(st.sampled_from((0.9, 0.99))), draw(st.booleans()),
        draw(st.sampled_from(variances)),
    )  # fmt: skip


@st.composite
def _average_pools(draw: DrawFn, name: str, shape: Shape) -> AveragePool:
    border: Literal["exclude", "include"] = draw(st.sampled_from(("exclude", "include")))
    if draw(st.booleans()):
        return AveragePool(name, draw(st.sampled_from((1, 3, 5))), border)
    return AveragePool(name, draw(st.integers(1, min(4, *shape[:2]))), border, draw(st.integers(1, 3)), "valid")


@st.composite
def _residuals(draw: DrawFn, name: str, shape: Shape, numbers: Iterator[int]) -> Residual:
    """A body whose size a 1 x 1 shortcut of the same stride has, or the identity where nothing changes."""
    stride = draw(st.integers(1, 2))
    features = shape[-1] if draw(st.booleans()) else draw(st.integers(1, 4))
    first = Conv(f"convolution{next(numbers)}", features, draw(st.sampled_from(((1, 1), (3, 3), (2, 3)))), stride)
    body = (first, *(draw(_same_size(features, numbers)) for _ in range(draw(st.integers(0, 2)))))
    if stride == 1 and features == shape[-1] and draw(st.booleans()):
        return Residual(name, body)
    return Residual(name, body, Sequence("shortcut", (Conv("conv", features, (1, 1), stride),)))


@st.composite
def _branches(draw: DrawFn, name: str, shape: Shape, numbers: Iterator[int]) -> Branches:
    """Branches that begin with the same window, in a convolution or a pool, and keep the size from there on."""
    (side, _), stride, padding = draw(windows(shape, square=True))
    branches: list[Sequence] = []
    for index in range(draw(st.integers(1, 3))):
        first: Layer = MaxPool(f"max_pool{next(numbers)}", side, stride, padding)
        if draw(st.booleans()):
            first = Conv(f"convolution{next(numbers)}", draw(st.integers(1, 3)), (side, side), stride, padding)
        after = (draw(_same_size(output_shape(first, shape)[-1], numbers)) for _ in range(draw(st.integers(0, 1))))
        branches.append(Sequence(f"branch{index}", (first, *after)))
    return Branches(name, tuple(branches))


@st.composite
def _same_size(draw: DrawFn, channels: int, numbers: Iterator[int]) -> Layer:
    """A layer that changes neither size nor channels."""
    kind = draw(st.sampled_from(("convolution", "batch_norm", "activation", "average_pool")))
    name = f"{kind}{next(numbers)}"
    match kind:
        case "convolution":
            return Conv(name, channels, draw(st.sampled_from(((1, 1), (3, 3), (1, 4), (2, 2)))))
        case "batch_norm":
            return draw(batch_norms(name))
        case "activation":
            return Activation(name, draw(st.sampled_from(("relu", "elu"))))
        case _:
            return AveragePool(name, 3, draw(st.sampled_from(("exclude", "include"))))


@dataclass(frozen=True)
class Inputs:
    """What a network is run with: seeded weights, images, and what each dropout keeps."""

    weights: dict[str, NDArray[np.floating[Any]]]
    images: NDArray[np.float32]
    masks: dict[str, NDArray[np.float32]]


def inputs(network: Network) -> Inputs:
    """Inputs under which no layer amplifies rounding, as `verify` has them (see OFFSET in xibench.analysis.forward).

    Batch norm's offsets are raised, so that the units of a ReLU behind one are on, and the batch is so large that every
    batch statistic is taken over MIN_CELLS values at least.
    """
    weights = initial(network)
    norms = [p for p in (*infer_shapes(network), *infer_auxiliary_shapes(network)) if isinstance(p.layer, BatchNorm)]
    for norm in norms:
        weights[f"{norm.path}.offset"] = weights[f"{norm.path}.offset"] + np.float32(OFFSET)
    batch = max(2, -(-MIN_CELLS // min((math.prod(norm.output_shape[:2]) for norm in norms), default=MIN_CELLS)))
    random = np.random.default_rng(0)
    images = random.standard_normal((batch, *network.input_shape)).astype(np.float32)
    masks = {
        p.path: (random.uniform(size=(batch, *p.output_shape)) >= p.layer.rate).astype(np.float32)
        for p in infer_shapes(network)
        if isinstance(p.layer, Dropout)
    }
    return Inputs(weights, images, masks)


def trains_differently(network: Network) -> bool:
    """Whether a training-mode forward computes anything else than inference."""
    kinds = {type(p.layer) for p in infer_shapes(network)}
    return bool(network.auxiliary) or not kinds.isdisjoint({BatchNorm, Dropout})
