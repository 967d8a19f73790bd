"""What every architecture's configuration has in common: its fields, their checks, and the width rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args, get_origin, get_type_hints

from frameworks.errors import InvalidConfiguration

WIDEST: Final = 64  # times the published widths


@dataclass(frozen=True, slots=True)
class Config:
    """Fields of every architecture. A variant is a name for a configuration.

    output: what the logits are for: `softmax` picks one class of all (ImageNet), `sigmoid` judges each class by itself
    (JFT's several labels a picture). Logits come out either way; it tells which loss and accuracy belong to them.
    resolution: pixels, square. momentum: share of the old running statistic that an update keeps (Keras' meaning).
    width: multiplies every width; results are rounded to multiples of 8.
    Raises InvalidConfiguration for a value that no network can take.
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
        """Raises InvalidConfiguration if a field without effect has another value than its idle one."""
        for field, value in idle.items():
            if getattr(self, field) != value:
                raise InvalidConfiguration(
                    f"{field} is {getattr(self, field)}, which would change nothing: {because}; leave it out"
                )

    def choices(self) -> Iterator[tuple[str, bool, str]]:
        """Of each field with a closed set of values: its name, whether it has one of them, and which they are."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                values = get_args(hint)
                yield name, getattr(self, name) in values, f"one of {', '.join(map(str, values))}"


def scaled(features: int, width: float) -> int:
    """`features` times the width multiplier, rounded to a multiple of 8 (at least 8); untouched at a width of 1."""
    return features if width == 1 else max(8, round(features * width / 8) * 8)
