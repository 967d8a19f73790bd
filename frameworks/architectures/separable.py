"""The paper's spectrum of one layer: from a regular convolution in one segment to a depthwise separable one.

A convolution over space on segments of the channels, and a 1 x 1 across them, in either order (arXiv 1610.02357,
section 1.2 and Figs. 3 and 4). One segment per channel makes the spatial one depthwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frameworks.blueprint import Activation, Branches, Conv, Layer, Sequence, Slice


@dataclass(frozen=True, slots=True)
class Separable:
    """channels -> features. segments: of the channels that the spatial convolution sees; 0 is one per channel."""

    channels: int
    features: int
    segments: int = 0
    order: Literal["spatial_first", "pointwise_first"] = "spatial_first"
    intermediate: Literal["none", "relu", "elu"] = "none"


def separable(s: Separable) -> tuple[Layer, ...]:
    """The spatial and the pointwise convolution with nothing but the intermediate activation between them."""
    between = () if s.intermediate == "none" else (Activation("intermediate", s.intermediate),)
    pointwise = Conv("pointwise", s.features, (1, 1))
    if s.order == "pointwise_first":
        return (pointwise, *between, spatial(s.features, s.segments))
    return (spatial(s.channels, s.segments), *between, pointwise)


def spatial(channels: int, segments: int, kernel: tuple[int, int] = (3, 3)) -> Layer:
    """A convolution that keeps the channels and mixes them within each segment only.

    Segments of one size are a grouped convolution. Others are convolutions of their own on slices, for which no
    framework has an operator.
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
    """Widths that differ by one at most, the wider ones first: 728 in 3 is 243, 243, 242."""
    width, wider = divmod(channels, segments)
    return tuple(width + (i < wider) for i in range(segments))
