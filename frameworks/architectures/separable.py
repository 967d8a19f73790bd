"""The paper's spectrum between a regular convolution and a depthwise separable one (arXiv 1610.02357, section 1.2).

A spatial convolution within segments of the channels, and a 1 x 1 across all channels, in either order (Figs. 3 and 4).
With one segment per channel, the spatial convolution is depthwise.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from frameworks.blueprint import Activation, Branches, Conv, Layer, Sequence, Slice


class Separable(msgspec.Struct, frozen=True):
    """A separable convolution from `channels` to `features`.

    segments: number of segments of the spatial convolution; 0 means one per channel.
    order: which convolution comes first. intermediate: the activation between the two.
    """

    channels: int
    features: int
    segments: int = 0
    order: Literal["spatial_first", "pointwise_first"] = "spatial_first"
    intermediate: Literal["none", "relu", "elu"] = "none"


def separable(s: Separable) -> tuple[Layer, ...]:
    """The spatial and the pointwise convolution, with only the intermediate activation between them."""
    between = () if s.intermediate == "none" else (Activation("intermediate", s.intermediate),)
    pointwise = Conv("pointwise", s.features, (1, 1))
    if s.order == "pointwise_first":
        return (pointwise, *between, spatial(s.features, s.segments))
    return (spatial(s.channels, s.segments), *between, pointwise)


def spatial(channels: int, segments: int, kernel: tuple[int, int] = (3, 3)) -> Layer:
    """A convolution that keeps the number of channels and mixes them only within each segment.

    Segments of equal size are a grouped convolution. No framework has an operator for unequal ones: they are separate
    convolutions on slices.
    """
    if segments in (0, channels):
        return Conv("depthwise", channels, kernel, groups=channels)
    if channels % segments == 0:
        return Conv("spatial", channels, kernel, groups=segments)
    branches, start = [], 0
    for i, width in enumerate(split(channels, segments), 1):
        branches.append(Sequence(f"segment{i}", (Slice("slice", start, start + width), Conv("conv", width, kernel))))
        start += width
    return Branches("spatial", tuple(branches))


def split(channels: int, segments: int) -> tuple[int, ...]:
    """Segment widths that differ by at most one, wider ones first: 728 in 3 segments is 243, 243, 242."""
    width, wider = divmod(channels, segments)
    return tuple(width + (i < wider) for i in range(segments))
