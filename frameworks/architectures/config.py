"""The fields that all configurations share, their validation, and the width multiplier."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args, get_origin, get_type_hints

from frameworks.errors import InvalidConfiguration

WIDEST: Final = 64  # times the published widths


@dataclass(frozen=True, slots=True)
class Config:
    """The fields of every architecture. A variant is a named configuration.

    classes: number of logits.
    output: how the logits are interpreted: `softmax`, one class per image (ImageNet), or `sigmoid`, several labels per
    image (JFT). The network returns logits in both cases; the field says which loss and accuracy apply.
    resolution: of the square input, in pixels. epsilon: of batch norm.
    momentum: fraction of the old running statistic that an update keeps (Keras' convention).
    batch_norm_scale: whether batch norm has a learned scale. dropout: rate before the logits.
    width: multiplies the number of channels everywhere, rounded to multiples of 8.
    Raises InvalidConfiguration for a value that no network supports.
    """

    classes: int = 1000
    output: Literal["softmax", "sigmoid"] = "softmax"
    resolution: int = 299
    epsilon: float = 1e-3
    momentum: float = 0.99
    batch_norm_scale: bool = True
    dropout: float = 0.5
    width: float = 1.0

    def __post_init__(self) -> None:
        for field, ok, expected in (
            *self.choices(),
            ("classes", self.classes >= 1, "a whole number of at least 1"),
            ("resolution", self.resolution >= 1, "a whole number of at least 1, in pixels"),
            ("epsilon", 0 < self.epsilon < math.inf, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 up to, not including, 1"),
            ("dropout", 0 <= self.dropout < 1, "a number from 0 up to, not including, 1"),
            ("width", 0 < self.width <= WIDEST, f"a number above 0, at most {WIDEST}"),
        ):
            if not ok:
                raise InvalidConfiguration(f"{field} is {getattr(self, field)}, expected {expected}")

    def without_effect(self, because: str, **idle: object) -> None:
        """Raise InvalidConfiguration if a field that has no effect is not at its idle value."""
        for field, value in idle.items():
            if getattr(self, field) != value:
                raise InvalidConfiguration(
                    f"{field} is {getattr(self, field)}, which would change nothing: {because}; leave it out"
                )

    def choices(self) -> Iterator[tuple[str, bool, str]]:
        """For each field with a closed set of values: name, whether its value is valid, and the expected values."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                values = get_args(hint)
                yield name, getattr(self, name) in values, f"one of {', '.join(map(str, values))}"


def scaled(features: int, width: float) -> int:
    """`features` times the width multiplier, rounded to a multiple of 8 (at least 8); unchanged for a width of 1."""
    return features if width == 1 else max(8, round(features * width / 8) * 8)
