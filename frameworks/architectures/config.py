"""What every architecture's configuration has in common: its fields, their checks, and the width rule."""

from __future__ import annotations

from dataclasses import dataclass

from frameworks.errors import InvalidConfiguration


@dataclass(frozen=True, slots=True)
class Config:
    """Fields of every architecture. A variant is a name for a configuration.

    resolution: pixels, square. momentum: share of the old running statistic that an update keeps (Keras' meaning).
    width: multiplies every width; results are rounded to multiples of 8.
    Raises InvalidConfiguration for a value that no network can take.
    """

    classes: int = 1000
    resolution: int = 299
    epsilon: float = 1e-3
    momentum: float = 0.99
    batch_norm_scale: bool = True
    dropout: float = 0.5
    width: float = 1.0

    def __post_init__(self) -> None:
        for field, ok, expected in (
            ("classes", self.classes >= 1, "a whole number of at least 1"),
            ("resolution", self.resolution >= 1, "a whole number of at least 1, in pixels"),
            ("epsilon", self.epsilon > 0, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 up to, not including, 1"),
            ("dropout", 0 <= self.dropout < 1, "a number from 0 up to, not including, 1"),
            ("width", self.width > 0, "a number above 0"),
        ):
            if not ok:
                raise InvalidConfiguration(f"{field} is {getattr(self, field)}, expected {expected}")


def scaled(features: int, width: float) -> int:
    """`features` times the width multiplier, rounded to a multiple of 8 (at least 8); untouched at a width of 1."""
    return features if width == 1 else max(8, round(features * width / 8) * 8)
