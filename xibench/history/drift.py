"""Slow drifts: a series that moves a little every night is not changed by a commit, but is not where it was either."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_POINTS: Final = 20
MIN_DRIFT: Final = math.log(1.05)  # over the whole stretch
MIN_SIGMAS, SHORT = 4.0, 10.0  # MIN_SIGMAS (1 + SHORT / n), because short stretches hide how correlated they are
MAX_CORRELATION: Final = 0.97  # with more, a line looks like a random walk


def drift(values: NDArray[np.float64]) -> float | None:
    """Return how far a stretch without a change has drifted, if it has.

    A line is fitted by least squares. The standard error of its slope is that of independent residuals times
    sqrt((1 + r) / (1 - r)) for a correlation r from one night to the next, which is estimated from the residuals and
    corrected for its bias in short series, (1 + 4 r) / n (Kendall 1954).

    Args:
        values: Logarithms of the values, oldest first.

    Returns:
        The new level over the old one, as a logarithm; None if it is below 5 %, or below MIN_SIGMAS (1 + SHORT / n)
        standard errors.
    """
    n = len(values)
    if n < MIN_POINTS:
        return None
    nights = np.arange(n) - (n - 1) / 2
    slope = float(nights @ values / (nights @ nights))
    residuals = values - values.mean() - slope * nights
    variance = float(residuals @ residuals) / (n - 2)
    total = slope * (n - 1)
    if variance == 0.0:
        return total if abs(total) >= MIN_DRIFT else None
    correlation = float(residuals[1:] @ residuals[:-1] / (residuals @ residuals))
    correlation = min(max(correlation + (1 + 4 * correlation) / n, 0.0), MAX_CORRELATION)
    error = math.sqrt(variance / float(nights @ nights) * (1 + correlation) / (1 - correlation)) * (n - 1)
    return total if abs(total) >= max(MIN_DRIFT, MIN_SIGMAS * (1 + SHORT / n) * error) else None
