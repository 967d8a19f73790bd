"""ResNet-50, -101 and -152: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385, Table 1.

Two forms are in use. keras.applications has the paper's: the first 1 x 1 of a block has the stride, and convolutions
have biases: 25,583,592 trainable parameters and 3,857,973,248 multiply-adds for ResNet-50 at 224.
In torchvision the 3 x 3 has the stride, and there are no biases: 25,557,032 and 4,089,184,256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from frameworks.architectures.config import Config, scaled
from frameworks.blueprint import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Network,
    Residual,
    Sequence,
)

BLOCKS: Final = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION: Final = 4


@dataclass(frozen=True, slots=True)
class ResNetConfig(Config):
    """The defaults are keras.applications' network."""

    IDLE: ClassVar[Mapping[str, str]] = {"dropout": "a ResNet has no dropout"}

    resolution: int = 224
    epsilon: float = 1.001e-5
    dropout: float = 0.0
    stride_on: Annotated[
        Literal["1x1", "3x3"], "which convolution of a block has the stride: the first 1 x 1 (Keras) or the 3 x 3"
    ] = "1x1"
    bias: Annotated[bool, "whether convolutions have biases"] = True


def resnet(depth: int, config: ResNetConfig, variant: str = "default") -> Network:
    """A stem, four stages of bottleneck blocks, logits; depth: one of BLOCKS. Shapes at 224."""
    c = config
    layers: list[Layer] = [
        Sequence("conv1", (*_conv(c, 64, (7, 7), stride=2), Activation("relu"))),    # 112 x 112 x 64
        MaxPool("pool1", window=3, stride=2, padding="symmetric"),                   # 56 x 56 x 64
    ]
    for i, blocks in enumerate(BLOCKS[depth]):
        hidden = 64 << i                                                             # 56, 28, 14, 7
        for j in range(1, blocks + 1):
            name, stride = f"conv{i + 2}_block{j}", 2 if i and j == 1 else 1
            layers.append(_block(c, name, hidden, stride, project=j == 1))           # 256, 512, 1024, 2048
    layers.append(Sequence("head", (GlobalAveragePool("pool"), Dense("predictions", c.classes))))
    return Network(f"resnet{depth}", variant, c, (c.resolution, c.resolution, 3), tuple(layers))


def _block(c: ResNetConfig, name: str, hidden: int, stride: int, project: bool) -> Sequence:
    """A bottleneck of 1 x 1, 3 x 3 and 1 x 1 with a shortcut, identity or 1 x 1, and ReLU after the addition."""
    first, second = (stride, 1) if c.stride_on == "1x1" else (1, stride)
    features = EXPANSION * hidden
    body = (
        Sequence("conv1", (*_conv(c, hidden, (1, 1), first), Activation("relu"))),
        Sequence("conv2", (*_conv(c, hidden, (3, 3), second), Activation("relu"))),
        Sequence("conv3", _conv(c, features, (1, 1))),
    )
    shortcut = Sequence("shortcut", _conv(c, features, (1, 1), stride)) if project else None
    return Sequence(name, (Residual("residual", body, shortcut), Activation("relu")))


def _conv(c: ResNetConfig, features: int, kernel: tuple[int, int], stride: int = 1) -> tuple[Conv, BatchNorm]:
    """A convolution with symmetric padding, regardless of the stride, and batch norm."""
    conv = Conv("conv", scaled(features, c.width), kernel, stride, padding="symmetric", bias=c.bias)
    return conv, BatchNorm("bn", c.epsilon, c.momentum, c.batch_norm_scale)
