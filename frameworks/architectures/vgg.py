"""VGG-16: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv
1409.1556, configuration D. 138,357,544 parameters and 15,470,264,320 multiply-adds at 224 with 1000 classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from frameworks.architectures.config import Config, scaled
from frameworks.blueprint import Activation, Conv, Dense, Dropout, Flatten, Layer, MaxPool, Network, Sequence

STAGES: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
DENSE_FEATURES: Final = 4096


@dataclass(frozen=True, slots=True)
class VGGConfig(Config):
    """The defaults are keras.applications' network with the paper's dropout after both wide dense layers.

    The first dense layer takes all cells, so the number of its parameters depends on the resolution. No batch norm.
    """

    IDLE: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("epsilon", "momentum", "batch_norm_scale"), "VGG-16 has no batch norm"
    )

    resolution: int = 224


def vgg16(config: VGGConfig, variant: str = "default") -> Network:
    """Five stages of 3 x 3 convolutions, each followed by a pool, and three dense layers. Shapes at 224."""
    c = config
    layers: list[Layer] = [
        _stage(c, f"block{i}", features, convolutions)                 # 112, 56, 28, 14, 7
        for i, (features, convolutions) in enumerate(STAGES, 1)
    ]
    wide = scaled(DENSE_FEATURES, c.width)
    layers.append(Sequence("head", (
        Flatten("flatten"),                                            # 25088
        Dense("dense1", wide), Activation("relu1"), Dropout("dropout1", c.dropout),
        Dense("dense2", wide), Activation("relu2"), Dropout("dropout2", c.dropout),
        Dense("predictions", c.classes),
    )))
    return Network("vgg16", variant, c, (c.resolution, c.resolution, 3), tuple(layers))


def _stage(c: VGGConfig, name: str, features: int, convolutions: int) -> Sequence:
    layers: list[Layer] = []
    for i in range(1, convolutions + 1):
        conv = Conv("conv", scaled(features, c.width), (3, 3), bias=True)
        layers.append(Sequence(f"conv{i}", (conv, Activation("relu"))))
    return Sequence(name, (*layers, MaxPool("pool", window=2, stride=2, padding="valid")))
