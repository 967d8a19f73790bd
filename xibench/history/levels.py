"""The levels of a series that is too short to know its noise from one night to the next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from xibench.history.series import Point

SUSPICIOUS: Final = math.log(1.03)  # the smallest difference of two levels that counts
FLOOR: Final = 0.015  # standard deviation of a point's logarithm from one night to the next, whatever its interval is
PRICE: Final = 6.0  # of a further level, in residuals of one standard deviation
NORMAL_99: Final = 2.576  # standard deviations to the end of a 99 % interval


class Step(NamedTuple):
    """A change of the level: the index of its first point, and new level over old level as a logarithm."""

    first: int
    log_ratio: float


def steps(points: Sequence[Point]) -> list[Step]:
    """Split a series into stretches of one level each.

    The split is the one for which the sum of squares of the residuals, in units of each point's variance, and a price
    for each level is smallest (optimal partitioning, Jackson et al. 2005). A point's variance is that of its interval,
    but at least FLOOR squared. The price is low: what is found is only suspected until it is measured again.

    Args:
        points: The series, oldest first.

    Returns:
        The changes of at least SUSPICIOUS, oldest first; none if a point has no interval.
    """
    if any(point.low is None or point.high is None for point in points):
        return []
    values = np.log([point.value for point in points])
    widths = np.array([(point.high or 0.0) / (point.low or math.inf) for point in points])
    weights = 1 / np.maximum(np.log(np.maximum(widths, 1.0)) / (2 * NORMAL_99), FLOOR) ** 2

    def cost(start: int, end: int) -> float:
        weight = weights[start:end]
        mean = np.average(values[start:end], weights=weight)
        return float(np.sum(weight * (values[start:end] - mean) ** 2))

    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]  # of the points until each: what it costs, and the starts
    for end in range(1, len(points) + 1):
        best.append(min((best[start][0] + cost(start, end) + PRICE, (*best[start][1], start)) for start in range(end)))
    starts = (*best[-1][1], len(points))
    levels = [float(np.average(values[a:b], weights=weights[a:b])) for a, b in itertools.pairwise(starts)]
    changes = zip(starts[1:-1], itertools.pairwise(levels), strict=True)
    return [Step(first, new - old) for first, (old, new) in changes if abs(new - old) >= SUSPICIOUS]
