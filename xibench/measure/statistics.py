"""Statistics of samples: pure functions, each with the source of its formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its confidence interval, in the unit of the samples.

    low and high are None where there are too few samples for an interval (fewer than 3).
    """

    median: float
    low: float | None
    high: float | None
    n: int


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """Median with its 95 % percentile-bootstrap interval (Efron and Tibshirani 1993, section 13.3), seeded.

    samples: at least one value, taken one after another in one process: the interval leaves out what differs from
    one process to the next. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("a median needs at least one sample, received none")
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 3:
        return Interval(float(np.median(values)), None, None, len(values))
    picks = np.random.default_rng(seed).integers(0, len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[picks], axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(medians, [tail, 100 - tail])
    return Interval(float(np.median(values)), float(low), float(high), len(values))
