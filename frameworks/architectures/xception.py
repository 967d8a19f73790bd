"""Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", arXiv 1610.02357, Fig. 5.

36 convolutional layers in 14 blocks, all but the first and last inside a linear residual.
22,855,952 trainable parameters and 8,357,403,496 multiply-adds at 299 x 299 with 1000 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frameworks.architectures.config import Config, scaled
from frameworks.blueprint import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    Residual,
    Sequence,
)


@dataclass(frozen=True, slots=True)
class XceptionConfig(Config):
    """What the paper fixes or leaves open. The defaults are keras.applications' network with the paper's dropout.

    epsilon: 1e-3 as Keras since December 2016; timm and the original weights' training used 1e-5. Not in the paper.
    pool_border: "same" pads as TensorFlow does; "symmetric" as timm does (differs where a pool's input is even).
    """

    pool_border: Literal["same", "symmetric"] = "same"


def xception(config: XceptionConfig, variant: str = "default") -> Network:
    """The network of Fig. 5: entry flow (blocks 1-4), middle flow (5-12), exit flow (13-14), logits. Shapes at 299."""
    c = config

    def w(features: int) -> int:
        return scaled(features, c.width)

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
        Sequence("head", (
            GlobalAveragePool("pool"),                                           # 2048
            Dropout("dropout", c.dropout),
            Dense("predictions", c.classes),                                     # 1000
        )),
    ]
    return Network("xception", variant, c, (c.resolution, c.resolution, 3), tuple(layers))


def _conv(c: XceptionConfig, name: str, features: int, stride: int = 1) -> Sequence:
    conv = Conv("conv", features, (3, 3), stride, padding="valid")
    return Sequence(name, (conv, _batch_norm(c), Activation("relu")))


def _sepconv(
    c: XceptionConfig, name: str, channels: int, features: int, relu: Literal["before", "after", "none"] = "before"
) -> Sequence:
    """Depthwise then pointwise, nothing between them; one batch norm after both."""
    layers: tuple[Layer, ...] = (
        Conv("depthwise", channels, (3, 3), groups=channels),
        Conv("pointwise", features, (1, 1)),
        _batch_norm(c),
    )
    if relu == "before":
        layers = (Activation("relu"), *layers)
    if relu == "after":
        layers = (*layers, Activation("relu"))
    return Sequence(name, layers)


def _down(c: XceptionConfig, name: str, channels: int, hidden: int, features: int, first_relu: bool = True) -> Residual:
    """A block that halves the picture: two separable convolutions and a pool, around them a strided 1 x 1."""
    body = (
        _sepconv(c, "sepconv1", channels, hidden, relu="before" if first_relu else "none"),
        _sepconv(c, "sepconv2", hidden, features),
        MaxPool("pool", window=3, stride=2, padding=c.pool_border),
    )
    return Residual(name, body, Sequence("shortcut", (Conv("conv", features, (1, 1), stride=2), _batch_norm(c))))


def _middle(c: XceptionConfig, name: str, features: int) -> Residual:
    return Residual(name, tuple(_sepconv(c, f"sepconv{i}", features, features) for i in (1, 2, 3)))


def _batch_norm(c: XceptionConfig) -> BatchNorm:
    return BatchNorm("bn", c.epsilon, c.momentum, c.batch_norm_scale)
