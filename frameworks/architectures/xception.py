"""Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", arXiv 1610.02357, Fig. 5.

36 convolutional layers in 14 blocks, all but the first and last inside a linear residual.
22,855,952 trainable parameters and 8,357,403,496 multiply-adds at 299 x 299 with 1000 classes.

The configuration covers the variations in the paper: heads (section 4.2), residual connections (Fig. 9), an activation
between depthwise and pointwise (Fig. 10), their order (Fig. 4), and the number of segments, from a regular convolution
to one segment per channel (section 1.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

from frameworks.architectures.config import HeadConfig, head, scaled
from frameworks.architectures.fields import Range
from frameworks.architectures.separable import Separable, separable
from frameworks.blueprint import Activation, BatchNorm, Conv, Layer, MaxPool, Network, Residual, Sequence
from frameworks.errors import InvalidConfiguration

SEGMENTS: Final = Range("a whole number from 0 to the narrowest width that is split", lambda number: number >= 0)


@dataclass(frozen=True, slots=True)
class XceptionConfig(HeadConfig):
    """What the paper varies or leaves open. The defaults are keras.applications' network with the paper's dropout.

    The paper does not give epsilon: 1e-3 is Keras' since December 2016; timm and the original weights' training used
    1e-5.
    """

    pool_border: Annotated[
        Literal["same", "symmetric"],
        "padding of the pools: TensorFlow's, or equal on all sides as in timm, which differs where a pool's input is "
        "even",
    ] = "same"
    residual: Annotated[bool, "false removes all twelve shortcuts; pools and widths stay (Fig. 9)"] = True
    intermediate: Annotated[
        Literal["none", "relu", "elu"],
        "activation between the spatial and the pointwise convolution, without batch norm (Fig. 10); ELU's alpha is 1",
    ] = "none"
    order: Annotated[
        Literal["spatial_first", "pointwise_first"],
        "the usual separable convolution, or the paper's extreme Inception module (Fig. 4)",
    ] = "spatial_first"
    segments: Annotated[
        int,
        "number of segments into which the spatial convolutions split their channels; 0 is one per channel; where it "
        "does not divide the channels, widths differ by one (728 = 243 + 243 + 242)",
        SEGMENTS,
    ] = 0
    operator: Annotated[
        Literal["separable", "regular"], "regular replaces each separable convolution by one 3 x 3 convolution"
    ] = "separable"

    def __post_init__(self) -> None:
        HeadConfig.__post_init__(self)
        if self.operator == "regular":
            whole = "a regular convolution is one, without segments, order or anything between"
            self.without_effect(whole, segments=0, order="spatial_first", intermediate="none")
        narrowest = scaled(64 if self.order == "spatial_first" else 128, self.width)
        if self.segments > narrowest:
            raise InvalidConfiguration(
                f"segments is {self.segments}, expected 1 to {narrowest} (the narrowest width that is split) "
                "or 0 (one segment per channel)"
            )


def xception(config: XceptionConfig, variant: str = "default") -> Network:
    """The network of Fig. 5: entry flow (blocks 1-4), middle flow (5-12), exit flow (13-14), logits. Shapes at 299."""
    c, w = config, partial(scaled, width=config.width)
    layers: list[Layer] = [
        Sequence("block1", (
            _conv(c, "conv1", w(32), stride=2),                                  # 149 x 149 x 32
            _conv(c, "conv2", w(64)),                                            # 147 x 147 x 64
        )),
        _down(c, "block2", w(64), w(128), w(128), first_relu=False),             # 74 x 74 x 128
        _down(c, "block3", w(128), w(256), w(256)),                              # 37 x 37 x 256
        _down(c, "block4", w(256), w(728), w(728)),                              # 19 x 19 x 728
    ]
    layers += [_middle(c, f"block{i}", w(728)) for i in range(5, 13)]            # 19 x 19 x 728
    layers += [
        _down(c, "block13", w(728), w(728), w(1024)),                            # 10 x 10 x 1024
        Sequence("block14", (
            _sepconv(c, "sepconv1", w(1024), w(1536), relu="after"),             # 10 x 10 x 1536
            _sepconv(c, "sepconv2", w(1536), w(2048), relu="after"),             # 10 x 10 x 2048
        )),
        head(c),                                                                 # 1000
    ]
    return Network("xception", variant, c, (c.resolution, c.resolution, 3), tuple(layers))


def _conv(c: XceptionConfig, name: str, features: int, stride: int = 1) -> Sequence:
    conv = Conv("conv", features, (3, 3), stride, padding="valid")
    return Sequence(name, (conv, _batch_norm(c), Activation("relu")))


def _sepconv(
    c: XceptionConfig, name: str, channels: int, features: int, relu: Literal["before", "after", "none"] = "before"
) -> Sequence:
    """A separable convolution, or the regular one in its place, and one batch norm after it."""
    layers: tuple[Layer, ...] = (Conv("conv", features, (3, 3)),)
    if c.operator != "regular":
        layers = separable(Separable(channels, features, c.segments, c.order, c.intermediate))
    layers = (*layers, _batch_norm(c))
    if relu == "before":
        layers = (Activation("relu"), *layers)
    if relu == "after":
        layers = (*layers, Activation("relu"))
    return Sequence(name, layers)


def _down(c: XceptionConfig, name: str, channels: int, hidden: int, features: int, first_relu: bool = True) -> Layer:
    """A downsampling block: two separable convolutions and a pool, with a strided 1 x 1 as the shortcut."""
    body = (
        _sepconv(c, "sepconv1", channels, hidden, relu="before" if first_relu else "none"),
        _sepconv(c, "sepconv2", hidden, features),
        MaxPool("pool", window=3, stride=2, padding=c.pool_border),
    )
    shortcut = Sequence("shortcut", (Conv("conv", features, (1, 1), stride=2), _batch_norm(c)))
    return Residual(name, body, shortcut) if c.residual else Sequence(name, body)


def _middle(c: XceptionConfig, name: str, features: int) -> Layer:
    body = tuple(_sepconv(c, f"sepconv{i}", features, features) for i in (1, 2, 3))
    return Residual(name, body) if c.residual else Sequence(name, body)


def _batch_norm(c: XceptionConfig) -> BatchNorm:
    return BatchNorm("bn", c.epsilon, c.momentum, c.batch_norm_scale)
