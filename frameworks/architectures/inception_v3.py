"""Inception V3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567,
in the form of all released code (TF-Slim, keras.applications, torchvision), with its block names.

94 convolutions. 23,817,352 trainable parameters (23,834,568 with batch-norm scale) and 5,713,216,096
multiply-adds at 299 x 299 with 1000 classes.

The edition "2016-08" is the first one for Keras (fchollet/deep-learning-models, August 2016). Its 23,626,728 trainable
parameters are what the Xception paper's Table 3 quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from frameworks.architectures.config import HeadConfig, head, scaled
from frameworks.blueprint import (
    Activation,
    Auxiliary,
    AveragePool,
    BatchNorm,
    Branches,
    Conv,
    Dense,
    GlobalAveragePool,
    MaxPool,
    Network,
    Sequence,
)


@dataclass(frozen=True, slots=True)
class InceptionV3Config(HeadConfig):
    """Differences between releases. The defaults are keras.applications' network with the Xception paper's dropout.

    The batch norm of the edition "2016-08" had scale, and Keras' epsilon then: set `batch_norm_scale` and `epsilon`.
    """

    batch_norm_scale: Annotated[
        bool, "whether batch norm has a learned scale: not in Keras and TF-Slim, but in torchvision and timm"
    ] = False
    pool_border: Annotated[
        Literal["exclude", "include"],
        "what average pools divide by: the cells inside the image (exclude: Keras, TF-Slim) or all nine (include: "
        "torchvision, timm)",
    ] = "exclude"
    auxiliary: Annotated[
        bool,
        "whether training has an auxiliary classifier at the last 17 x 17 module, as in torchvision and TF-Slim; it "
        "takes images from 299 px up",
    ] = False
    edition: Annotated[
        Literal["released", "2016-08"],
        "2016-08 has pools' convolutions of 32 in all three first modules, 160 channels instead of 192 at the start of "
        "the long branch of the last 17 x 17 module, biases, the activation before the batch norm, and an average pool "
        "in the last reduction",
    ] = "released"


def inception_v3(config: InceptionV3Config, variant: str = "default") -> Network:
    """Stem, three modules at 35 x 35, four at 17 x 17, two at 8 x 8, logits. Shapes at 299."""
    c = config
    old = c.edition == "2016-08"
    layers = (
        _conv(c, "conv_1a_3x3", 32, (3, 3), stride=2, padding="valid"),    # 149 x 149 x 32
        _conv(c, "conv_2a_3x3", 32, (3, 3), padding="valid"),              # 147 x 147 x 32
        _conv(c, "conv_2b_3x3", 64, (3, 3)),                               # 147 x 147 x 64
        MaxPool("pool_3a_3x3", window=3, stride=2, padding="valid"),       # 73 x 73 x 64
        _conv(c, "conv_3b_1x1", 80, (1, 1)),                               # 73 x 73 x 80
        _conv(c, "conv_4a_3x3", 192, (3, 3), padding="valid"),             # 71 x 71 x 192
        MaxPool("pool_5a_3x3", window=3, stride=2, padding="valid"),       # 35 x 35 x 192
        _module_a(c, "mixed_5b", pool_features=32),                        # 35 x 35 x 256
        _module_a(c, "mixed_5c", pool_features=32 if old else 64),         # 35 x 35 x 288
        _module_a(c, "mixed_5d", pool_features=32 if old else 64),         # 35 x 35 x 288
        _reduction_b(c, "mixed_6a"),                                       # 17 x 17 x 768
        _module_c(c, "mixed_6b", hidden=128),                              # 17 x 17 x 768
        _module_c(c, "mixed_6c", hidden=160),
        _module_c(c, "mixed_6d", hidden=160),
        _module_c(c, "mixed_6e", hidden=192, first=160 if old else 192),
        _reduction_d(c, "mixed_7a"),                                       # 8 x 8 x 1280
        _module_e(c, "mixed_7b"),                                          # 8 x 8 x 2048
        _module_e(c, "mixed_7c"),
        head(c),                                                           # 1000
    )
    auxiliary = Auxiliary("mixed_6e", _auxiliary(c)) if c.auxiliary else None
    return Network("inception_v3", variant, c, (c.resolution, c.resolution, 3), layers, auxiliary)


def _module_a(c: InceptionV3Config, name: str, pool_features: int) -> Branches:
    return Branches(name, (
        Sequence("branch1x1", (_conv(c, "conv1", 64, (1, 1)),)),
        Sequence("branch5x5", (_conv(c, "conv1", 48, (1, 1)), _conv(c, "conv2", 64, (5, 5)))),
        Sequence("branch3x3dbl", (
            _conv(c, "conv1", 64, (1, 1)), _conv(c, "conv2", 96, (3, 3)), _conv(c, "conv3", 96, (3, 3)),
        )),
        _branch_pool(c, pool_features),
    ))


def _reduction_b(c: InceptionV3Config, name: str) -> Branches:
    return Branches(name, (
        Sequence("branch3x3", (_conv(c, "conv1", 384, (3, 3), stride=2, padding="valid"),)),
        Sequence("branch3x3dbl", (
            _conv(c, "conv1", 64, (1, 1)),
            _conv(c, "conv2", 96, (3, 3)),
            _conv(c, "conv3", 96, (3, 3), stride=2, padding="valid"),
        )),
        Sequence("branch_pool", (MaxPool("pool", window=3, stride=2, padding="valid"),)),
    ))


def _module_c(c: InceptionV3Config, name: str, hidden: int, first: int | None = None) -> Branches:
    """first: width of the 1 x 1 of the long branch, if it differs from `hidden`."""
    return Branches(name, (
        Sequence("branch1x1", (_conv(c, "conv1", 192, (1, 1)),)),
        Sequence("branch7x7", (
            _conv(c, "conv1", hidden, (1, 1)), _conv(c, "conv2", hidden, (1, 7)), _conv(c, "conv3", 192, (7, 1)),
        )),
        Sequence("branch7x7dbl", (
            _conv(c, "conv1", first or hidden, (1, 1)),
            _conv(c, "conv2", hidden, (7, 1)),
            _conv(c, "conv3", hidden, (1, 7)),
            _conv(c, "conv4", hidden, (7, 1)),
            _conv(c, "conv5", 192, (1, 7)),
        )),
        _branch_pool(c, 192),
    ))


def _reduction_d(c: InceptionV3Config, name: str) -> Branches:
    pool: MaxPool | AveragePool = MaxPool("pool", window=3, stride=2, padding="valid")
    if c.edition == "2016-08":
        pool = AveragePool("pool", window=3, border=c.pool_border, stride=2, padding="valid")
    return Branches(name, (
        Sequence("branch3x3", (
            _conv(c, "conv1", 192, (1, 1)), _conv(c, "conv2", 320, (3, 3), stride=2, padding="valid"),
        )),
        Sequence("branch7x7x3", (
            _conv(c, "conv1", 192, (1, 1)),
            _conv(c, "conv2", 192, (1, 7)),
            _conv(c, "conv3", 192, (7, 1)),
            _conv(c, "conv4", 192, (3, 3), stride=2, padding="valid"),
        )),
        Sequence("branch_pool", (pool,)),
    ))


def _module_e(c: InceptionV3Config, name: str) -> Branches:
    return Branches(name, (
        Sequence("branch1x1", (_conv(c, "conv1", 320, (1, 1)),)),
        Sequence("branch3x3", (_conv(c, "conv1", 384, (1, 1)), _halves(c, "conv2"))),
        Sequence("branch3x3dbl", (
            _conv(c, "conv1", 448, (1, 1)), _conv(c, "conv2", 384, (3, 3)), _halves(c, "conv3"),
        )),
        _branch_pool(c, 192),
    ))


def _halves(c: InceptionV3Config, name: str) -> Branches:
    """A 3 x 3 factorised into a 1 x 3 and a 3 x 1 in parallel."""
    return Branches(name, (_conv(c, "a", 384, (1, 3)), _conv(c, "b", 384, (3, 1))))


def _auxiliary(c: InceptionV3Config) -> Sequence:
    """768 channels at 17 x 17 -> (classes,). The global pool does nothing at 299; elsewhere it is torchvision's."""
    return Sequence("auxiliary", (
        AveragePool("pool", window=5, border="include", stride=3, padding="valid"),    # 5 x 5 x 768
        _conv(c, "conv1", 128, (1, 1)),                                                # 5 x 5 x 128
        _conv(c, "conv2", 768, (5, 5), padding="valid"),                               # 1 x 1 x 768
        GlobalAveragePool("global_pool"),                                              # 768
        Dense("predictions", c.classes),
    ))


def _branch_pool(c: InceptionV3Config, features: int) -> Sequence:
    return Sequence("branch_pool", (
        AveragePool("pool", window=3, border=c.pool_border), _conv(c, "conv1", features, (1, 1)),
    ))


def _conv(
    c: InceptionV3Config,
    name: str,
    features: int,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: Literal["same", "valid"] = "same",
) -> Sequence:
    """Convolution without bias, batch norm, ReLU; in the edition of 2016-08 convolution with bias, ReLU, batch norm."""
    old = c.edition == "2016-08"
    conv = Conv("conv", scaled(features, c.width), kernel, stride, padding, bias=old)
    norm, relu = BatchNorm("bn", c.epsilon, c.momentum, c.batch_norm_scale), Activation("relu")
    return Sequence(name, (conv, relu, norm) if old else (conv, norm, relu))
