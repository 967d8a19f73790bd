"""The head of the paper's networks: global pooling, optional dense layers, dropout, logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frameworks.architectures.config import Config, scaled
from frameworks.blueprint import Activation, Dense, Dropout, GlobalAveragePool, Layer, Sequence
from frameworks.errors import InvalidConfiguration

DENSE_FEATURES: Final = 4096


@dataclass(frozen=True, slots=True)
class HeadConfig(Config):
    """The head's configuration, as varied by the Xception paper (section 4.2, Figs. 7 and 8, Table 2).

    dense_layers: number of layers of 4096 units before the logits; the paper compares none and two. It does not say
    what follows them; here it is ReLU, without batch norm or dropout in between.
    """

    dense_layers: int = 0

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        if not 0 <= self.dense_layers <= 8:
            raise InvalidConfiguration(f"dense_layers is {self.dense_layers}, expected a whole number from 0 to 8")


def head(c: HeadConfig) -> Sequence:
    """(H, W, C) -> (classes,)."""
    hidden: list[Layer] = []
    for i in range(1, c.dense_layers + 1):
        hidden += [Dense(f"dense{i}", scaled(DENSE_FEATURES, c.width)), Activation(f"relu{i}")]
    last = (Dropout("dropout", c.dropout), Dense("predictions", c.classes))
    return Sequence("head", (GlobalAveragePool("pool"), *hidden, *last))
