"""The head of the paper's networks: global pooling, optional dense layers, dropout, logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from frameworks.architectures.config import Config, scaled
from frameworks.architectures.fields import Range
from frameworks.blueprint import Activation, Dense, Dropout, GlobalAveragePool, Layer, Sequence

DENSE_FEATURES: Final = 4096
DENSE_LAYERS: Final = Range("a whole number from 0 to 8", lambda number: 0 <= number <= 8)


@dataclass(frozen=True, slots=True)
class HeadConfig(Config):
    """The head's configuration, as varied by the Xception paper (section 4.2, Figs. 7 and 8, Table 2).

    The paper does not say what follows its dense layers; here it is ReLU, without batch norm or dropout in between.
    """

    dense_layers: Annotated[
        int, "number of layers of 4096 units before the logits; the Xception paper compares 0 and 2", DENSE_LAYERS
    ] = 0


def head(c: HeadConfig) -> Sequence:
    """(H, W, C) -> (classes,)."""
    hidden: list[Layer] = []
    for i in range(1, c.dense_layers + 1):
        hidden += [Dense(f"dense{i}", scaled(DENSE_FEATURES, c.width)), Activation(f"relu{i}")]
    last = (Dropout("dropout", c.dropout), Dense("predictions", c.classes))
    return Sequence("head", (GlobalAveragePool("pool"), *hidden, *last))
