"""What architectures share: fields of their configurations, the width multiplier, the head of the paper's networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from frameworks.architectures.fields import COUNT, POSITIVE, SHARE, Range, check
from frameworks.blueprint import Activation, Dense, Dropout, GlobalAveragePool, Layer, Sequence
from frameworks.errors import InvalidConfiguration

WIDEST: Final = 64  # times the published widths
PIXELS: Final = Range(f"{COUNT.text}, in pixels", COUNT.contains)
DENSE_FEATURES: Final = 4096
DENSE_LAYERS: Final = Range("a whole number from 0 to 8", lambda number: 0 <= number <= 8)
WIDTHS: Final = Range(f"a number above 0, at most {WIDEST}", lambda width: 0 < width <= WIDEST)


@dataclass(frozen=True, slots=True)
class Config:
    """The fields of every architecture. A variant is a named configuration.

    IDLE: the inherited fields that have no effect in this architecture, each with the reason.
    Raises InvalidConfiguration for a value that the network does not support.
    """

    IDLE: ClassVar[Mapping[str, str]] = {}

    classes: Annotated[int, "number of logits", COUNT] = 1000
    output: Annotated[
        Literal["softmax", "sigmoid"],
        "which loss and accuracy apply to the logits: one class per image (softmax) or several labels (sigmoid, JFT)",
    ] = "softmax"
    resolution: Annotated[int, "height and width of the square input", PIXELS] = 299
    epsilon: Annotated[float, "batch norm's, added to the variance", POSITIVE] = 1e-3
    momentum: Annotated[
        float, "fraction of batch norm's old running statistic that an update keeps (Keras' convention)", SHARE
    ] = 0.99
    batch_norm_scale: Annotated[bool, "whether batch norm has a learned scale"] = True
    dropout: Annotated[float, "rate before the logits, in training", SHARE] = 0.5
    width: Annotated[float, "multiplies the number of channels everywhere, rounded to multiples of 8", WIDTHS] = 1.0

    def __post_init__(self) -> None:
        check(self)
        for field in dataclasses.fields(self):
            if field.name in self.IDLE:
                self.without_effect(self.IDLE[field.name], **{field.name: field.default})

    def without_effect(self, because: str, **idle: object) -> None:
        """Raise InvalidConfiguration if a field that has no effect is not at its idle value."""
        for field, value in idle.items():
            if getattr(self, field) != value:
                raise InvalidConfiguration(
                    f"{field} is {getattr(self, field)}, which would change nothing: {because}; leave it out"
                )


def scaled(features: int, width: float) -> int:
    """`features` times the width multiplier, rounded to a multiple of 8 (at least 8); unchanged for a width of 1."""
    return features if width == 1 else max(8, round(features * width / 8) * 8)


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
