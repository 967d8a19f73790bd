"""The operators of the Xception paper's spectrum, each as a network without head and batch norm.

Their shapes are those of Xception's separable convolutions and Inception V3's modules: `channels` in, `features` out,
at `resolution` x `resolution` cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from frameworks.architectures.fields import COUNT, check
from frameworks.architectures.separable import Separable, separable, spatial, split
from frameworks.blueprint import AveragePool, Branches, Conv, Layer, Network, Sequence, Slice
from frameworks.errors import InvalidConfiguration


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """The shape of an operator. The default is that of Xception's middle flow at 299.

    Raises InvalidConfiguration for a value that no operator supports.
    """

    resolution: Annotated[int, "height and width of the input, in cells", COUNT] = 19
    channels: Annotated[int, "of the input", COUNT] = 728
    features: Annotated[int, "channels of the output; depthwise and grouped keep the input's", COUNT] = 728
    segments: Annotated[
        int,
        "groups of grouped, branches of inception_simplified and inception_segments; the other operators ignore it",
        COUNT,
    ] = 4

    def __post_init__(self) -> None:
        check(self)


def build(name: str, config: OperatorConfig, variant: str = "default") -> Network:
    """An operator by name, as a network of one block.

    Raises InvalidConfiguration if there are fewer channels than segments.
    """
    c = config
    block = Sequence(name, OPERATORS[name](c))
    return Network(name, variant, c, (c.resolution, c.resolution, c.channels), (block,))


def _regular(c: OperatorConfig) -> tuple[Layer, ...]:
    """A 3 x 3 convolution over all channels."""
    return (Conv("conv", c.features, (3, 3)),)


def _spatially_separable(c: OperatorConfig) -> tuple[Layer, ...]:
    """A 3 x 1 followed by a 1 x 3 convolution, each over all channels."""
    return Conv("vertical", c.features, (3, 1)), Conv("horizontal", c.features, (1, 3))


def _depthwise(c: OperatorConfig) -> tuple[Layer, ...]:
    """A 3 x 3 depthwise convolution: one filter per channel."""
    return (spatial(c.channels, 0),)


def _pointwise(c: OperatorConfig) -> tuple[Layer, ...]:
    """A 1 x 1 convolution over all channels."""
    return (Conv("pointwise", c.features, (1, 1)),)


def _separable(c: OperatorConfig) -> tuple[Layer, ...]:
    """A depthwise separable convolution: depthwise, then pointwise."""
    return separable(Separable(c.channels, c.features))


def _grouped(c: OperatorConfig) -> tuple[Layer, ...]:
    """A 3 x 3 convolution within each of `segments` groups of the channels."""
    _check_segments(c, "channels")
    return (spatial(c.channels, c.segments),)


def _inception(c: OperatorConfig) -> tuple[Layer, ...]:
    """Fig. 1: an Inception module as in Inception V3. Every branch has a quarter of the features."""
    if c.features < 4:
        raise InvalidConfiguration(f"features is {c.features}, expected at least 4, one for each branch")
    a, b, d, e = split(c.features, 4)
    return (Branches("module", (
        Sequence("branch1x1", (Conv("conv1", a, (1, 1)),)),
        Sequence("branch3x3", (Conv("conv1", b, (1, 1)), Conv("conv2", b, (3, 3)))),
        Sequence("branch3x3dbl", (Conv("conv1", d, (1, 1)), Conv("conv2", d, (3, 3)), Conv("conv3", d, (3, 3)))),
        Sequence("branch_pool", (AveragePool("pool", 3, "exclude"), Conv("conv1", e, (1, 1)))),
    )),)


def _inception_simplified(c: OperatorConfig) -> tuple[Layer, ...]:
    """Fig. 2: a simplified Inception module, whose branches are a 1 x 1 and a 3 x 3 each."""
    _check_segments(c, "features")
    return (Branches("module", tuple(
        Sequence(f"branch{i}", (Conv("conv1", width, (1, 1)), Conv("conv2", width, (3, 3))))
        for i, width in enumerate(split(c.features, c.segments), 1)
    )),)


def _inception_segments(c: OperatorConfig) -> tuple[Layer, ...]:
    """Fig. 3: one large 1 x 1, then a 3 x 3 within each segment of its output; equivalent to Fig. 2."""
    _check_segments(c, "features")
    branches, start = [], 0
    for i, width in enumerate(split(c.features, c.segments), 1):
        branches.append(Sequence(f"branch{i}", (Slice("slice", start, start + width), Conv("conv", width, (3, 3)))))
        start += width
    return Conv("pointwise", c.features, (1, 1)), Branches("module", tuple(branches))


def _inception_extreme(c: OperatorConfig) -> tuple[Layer, ...]:
    """Fig. 4: one 1 x 1, then a 3 x 3 on each channel of its output."""
    return separable(Separable(c.channels, c.features, order="pointwise_first"))


def _check_segments(c: OperatorConfig, split_field: str) -> None:
    limit = getattr(c, split_field)
    if c.segments > limit:
        raise InvalidConfiguration(f"segments is {c.segments}, expected 1 to {limit}, the {split_field} that are split")


OPERATORS: Final[Mapping[str, Callable[[OperatorConfig], tuple[Layer, ...]]]] = {
    "regular": _regular,
    "spatially_separable": _spatially_separable,
    "depthwise": _depthwise,
    "pointwise": _pointwise,
    "separable": _separable,
    "grouped": _grouped,
    "inception": _inception,
    "inception_simplified": _inception_simplified,
    "inception_segments": _inception_segments,
    "inception_extreme": _inception_extreme,
}

DEFAULTS: Final[Mapping[str, Callable[[], OperatorConfig]]] = {
    **dict.fromkeys(OPERATORS, OperatorConfig),
    "inception_simplified": partial(OperatorConfig, segments=3),
    "inception_segments": partial(OperatorConfig, segments=3),
}
"""Default shapes; Figs. 2 and 3 of the paper have three segments."""

SHAPES: Final[Mapping[str, Mapping[str, int]]] = {
    "default": {},
    "entry_64_128": {"resolution": 147, "channels": 64, "features": 128},
    "entry_128_128": {"resolution": 147, "channels": 128, "features": 128},
    "entry_128_256": {"resolution": 74, "channels": 128, "features": 256},
    "entry_256_256": {"resolution": 74, "channels": 256, "features": 256},
    "entry_256_728": {"resolution": 37, "channels": 256, "features": 728},
    "entry_728_728": {"resolution": 37, "channels": 728, "features": 728},
    "middle_728_728": {},
    "exit_728_1024": {"resolution": 19, "channels": 728, "features": 1024},
    "exit_1024_1536": {"resolution": 10, "channels": 1024, "features": 1536},
    "exit_1536_2048": {"resolution": 10, "channels": 1536, "features": 2048},
    "mixed_35_288": {"resolution": 35, "channels": 288, "features": 288},
    "mixed_17_768": {"resolution": 17, "channels": 768, "features": 768},
    "mixed_8_2048": {"resolution": 8, "channels": 2048, "features": 2048},
}
