"""Statistics of samples: pure functions, each with the source of its formula. SciPy is imported by what uses it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95
RESAMPLED_UP_TO: Final = 4096  # samples of a process; the median of a resample of more is drawn itself
BLOCK: Final = 1 << 20  # values that are resampled at once, which bounds the memory
TALLIED_UP_TO: Final = 500  # samples of all processes whose resamples are kept as tallies: a byte each, so 255 in one
STUDENT_QUANTILES: Final = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146,
    2.4469118511449786, 2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274,
    2.200985160091639, 2.1788128296672284, 2.1603686564627913, 2.144786687917804, 2.131449545559776,
    2.1199052992212546, 2.1098155778333156, 2.1009220402410382, 2.0930240544083087, 2.085963447265864,
)  # fmt: skip
"""CONFIDENCE, two-sided, of Student's t with 1 to 20 degrees of freedom, by SciPy, whose import takes up to 0.3 s."""
NORMAL_QUANTILE: Final = 1.959963984540054  # the same of the normal distribution
MILD, SEVERE = 1.5, 3.0  # Tukey's inner and outer fences, in interquartile ranges (Exploratory Data Analysis, 1977)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its 95 % confidence interval, in the unit of the samples.

    low and high are None where there are too few samples for an interval (one process with fewer than 3). With one
    process the interval leaves out what differs from one process to the next; with several it holds that too.
    """

    median: float
    low: float | None
    high: float | None
    n: int  # samples, over all processes
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile with the bounds of its 95 % interval; all None where fewer than `needed` samples were taken."""

    q: float  # 0.99 for the 99th
    value: float | None
    low: float | None
    high: float | None
    n: int
    needed: int  # samples from which on it can be stated with an interval


@dataclass(frozen=True, slots=True)
class Outliers:
    """Samples outside Tukey's fences. They are labelled and stay in every figure."""

    mild: int  # beyond 1.5, within 3 interquartile ranges of the quartiles
    severe: int  # beyond 3
    n: int


def median_interval(samples: Sequence[float], seed: int = 0) -> Interval:
    """Median with its 95 % percentile-bootstrap interval (Efron and Tibshirani 1993, section 13.3), seeded.

    samples: at least one value, all above 0, taken one after another in one process: the interval leaves out what
    differs from one process to the next. It is made on the log scale and widened for few samples as
    `hierarchical_median` is for few processes: of three samples the bootstrap alone reaches from the least to the
    greatest, which hold the true median three times in four only, and the larger of the two distances stands on both
    sides. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("a median needs at least one sample, received none")
    values = np.asarray(samples, dtype=np.float64)
    median = float(np.median(values))
    if len(values) < 3:
        return Interval(median, None, None, len(values))
    medians = _resampled_medians(np.log(values), np.random.default_rng(seed))
    low, high = _around(math.log(median), medians, len(values))
    if len(values) == 3:
        reach = max(math.log(median) - low, high - math.log(median))
        low, high = math.log(median) - reach, math.log(median) + reach
    return Interval(median, math.exp(low), math.exp(high), len(values))


def hierarchical_median(processes: Sequence[Sequence[float]], seed: int = 0) -> Interval:
    """A case's typical value from several processes, each with its samples: all above 0, at least one each.

    The estimate is the geometric mean of the processes' medians. Its interval resamples processes, then the samples
    within each (hierarchical bootstrap: Davison and Hinkley 1997, section 3.8), on the log scale. A bootstrap of few
    units is too narrow: its distances from the estimate are widened by sqrt(P / (P - 1)) t(P - 1) / z (Hesterberg
    2015, section 5.3, for P processes), which makes two processes wide and ten nearly unchanged.
    One process: `median_interval`. Raises ValueError without samples.
    """
    if len(processes) == 1:
        return median_interval(processes[0], seed)
    if not processes or not all(processes):
        raise ValueError("a hierarchical median needs at least one sample in each process, received none")
    samples = [np.log(np.asarray(steps, dtype=np.float64)) for steps in processes]
    total = sum(map(len, samples))
    if len(set(map(len, samples))) == 1 and len(samples) < total <= TALLIED_UP_TO:
        means = _tallied_means(np.stack(samples), seed)
    else:
        means = resampled_means(samples, np.random.default_rng(seed))
    centre, low, high = widened(means, samples)
    return Interval(math.exp(centre), math.exp(low), math.exp(high), total, len(samples))


def typical_value(processes: Sequence[Sequence[float]]) -> float:
    """The estimate of `hierarchical_median` alone, without the resamples that its interval takes."""
    if len(processes) == 1:
        return float(np.median(processes[0]))
    return math.exp(_centre([np.log(np.asarray(steps, dtype=np.float64)) for steps in processes]))


def resampled_means(samples: Sequence[NDArray[np.float64]], rng: np.random.Generator) -> NDArray[np.float64]:
    """RESAMPLES hierarchical resamples: processes with replacement, then samples within each; the mean of medians."""
    shape = (RESAMPLES, len(samples))
    if all(len(values) == 1 for values in samples):  # every resample of a process is its only value
        drawn = np.concatenate(samples)[rng.integers(0, len(samples), shape)]
    else:
        banks = np.stack([_resampled_medians(values, rng) for values in samples])
        process = rng.integers(0, len(samples), shape)
        drawn = np.take(banks, process * RESAMPLES + rng.integers(0, RESAMPLES, shape))
    means: NDArray[np.float64] = drawn.mean(axis=1)
    return means


def widened(means: NDArray[np.float64], samples: Sequence[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Estimate and 95 % bounds from resampled means, widened for few processes as `hierarchical_median` says."""
    centre = _centre(samples)
    return centre, *_around(centre, means, len(samples))


@cache
def few_units_factor(units: int) -> float:
    """sqrt(n / (n - 1)) t(n - 1) / z at 95 %: what a percentile bootstrap of n units lacks (Hesterberg 2015)."""
    if units <= len(STUDENT_QUANTILES) + 1:
        quantile = STUDENT_QUANTILES[units - 2]
    else:
        from scipy.special import stdtrit

        quantile = float(stdtrit(units - 1, 0.5 + CONFIDENCE / 2))
    return math.sqrt(units / (units - 1)) * quantile / NORMAL_QUANTILE


def percentile(samples: Sequence[float], q: float) -> Percentile:
    """The q-quantile (0 < q < 1) with an interval whose bounds are order statistics (`bounding_ranks`).

    An order statistic bounds a quantile from above only if enough samples lie beyond it: n must be so large that
    max(q, 1 - q)^n is at most 2.5 %. With fewer samples every figure is None.
    """
    n, needed = len(samples), samples_needed(q)
    if n < needed:
        return Percentile(q, None, None, None, n, needed)
    values = np.sort(np.asarray(samples, dtype=np.float64))
    low, high = bounding_ranks(n, q)
    return Percentile(q, float(np.quantile(values, q)), float(values[low]), float(values[high]), n, needed)


@cache
def bounding_ranks(n: int, q: float) -> tuple[int, int]:
    """Return the ranks, counted from 0, of the order statistics that bound the q-quantile of n samples at 95 %.

    They are quantiles of the binomial distribution of n and q (Conover 1999, section 3.2) and the ranks that
    scipy.stats.quantile_test uses; scipy.special computes them without the cost of importing scipy.stats.
    """
    from scipy.special import bdtr, bdtrik

    tail = (1 - CONFIDENCE) / 2
    found = []
    for share in (tail, 1 - tail):
        rank = math.ceil(bdtrik(share, n, q))
        found.append(rank - 1 if rank > 0 and bdtr(rank - 1, n, q) >= share else rank)
    return found[0] - 1, found[1]


def samples_needed(q: float) -> int:
    """The least number of samples whose extremes bound the q-quantile with 97.5 % on either side: 368 for 0.99."""
    return math.ceil(math.log(0.5 - CONFIDENCE / 2) / math.log(max(q, 1 - q)))


def outliers(processes: Iterable[Sequence[float]]) -> Outliers:
    """How many samples lie outside Tukey's fences, labelled process by process.

    A process that is slower as a whole has none for that reason. Nor has a process with fewer than 4 samples.
    """
    by_count: dict[int, list[Sequence[float]]] = {}
    for samples in processes:
        by_count.setdefault(len(samples), []).append(samples)
    mild = severe = 0
    for count, alike in by_count.items():
        if count < 4:
            continue
        values = np.asarray(alike, dtype=np.float64)  # a row per process
        first, third = np.percentile(values, [25, 75], axis=1, keepdims=True)
        beyond = np.maximum(first - values, values - third)
        mild += int(np.count_nonzero((beyond > MILD * (third - first)) & (beyond <= SEVERE * (third - first))))
        severe += int(np.count_nonzero(beyond > SEVERE * (third - first)))
    return Outliers(mild, severe, sum(count * len(alike) for count, alike in by_count.items()))


def _around(centre: float, resampled: NDArray[np.float64], units: int) -> tuple[float, float]:
    """The 95 % bounds of a percentile bootstrap, their distances from the estimate widened for few units."""
    # np.percentile's, to the last bit, in a tenth of its time
    ordered = np.sort(resampled)
    position = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) * (len(ordered) - 1)
    below = position.astype(np.intp)
    share, gap = position - below, ordered[below + 1] - ordered[below]
    low, high = np.where(share < 0.5, ordered[below] + gap * share, ordered[below + 1] - gap * (1 - share)).tolist()
    factor = few_units_factor(units)
    return centre - factor * max(centre - low, 0.0), centre + factor * max(high - centre, 0.0)


def _centre(samples: Sequence[NDArray[np.float64]]) -> float:
    """The mean of the processes' medians; those are np.median's to the last bit, which takes ten times as long."""
    halves = ((np.sort(values), len(values) // 2) for values in samples)
    return float(np.mean([v[half] if len(v) % 2 else (v[half - 1] + v[half]) / 2 for v, half in halves]))


def _tallied_means(samples: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """What `resampled_means` returns, to the last bit, for processes (rows) with the same number of samples.

    What is drawn depends on the seed and the numbers alone, so that cases with the same numbers share the draws, which
    take most of the time. A resample is kept as a tally of how often it holds each sample. Its median is the sample at
    which the tallies, added up from the smallest sample to the greatest, pass half.
    """
    processes, n = samples.shape
    tallies, positions = _tallies(processes, n, seed)
    order = np.argsort(samples, axis=1)
    ordered = np.take_along_axis(samples, order, axis=1)
    half, rows = n // 2, np.arange(processes)
    below, lower, upper = np.zeros((3, processes, RESAMPLES), dtype=np.uint8)
    for rank in range(n):
        below += tallies[order[:, rank], rows]
        upper += below <= half
        lower += below < half
    banks = np.take_along_axis(ordered, upper, axis=1)
    if n % 2 == 0:
        banks = (np.take_along_axis(ordered, lower, axis=1) + banks) / 2
    means: NDArray[np.float64] = np.take(banks, positions).mean(axis=1)
    return means


@lru_cache(maxsize=32)
def _tallies(processes: int, n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """How often each of n samples occurs in each resample of each process, then which of all these are drawn."""
    rng = np.random.default_rng(seed)
    tallies = np.empty((n, processes, RESAMPLES), dtype=np.uint8)
    for process in range(processes):
        cells = rng.integers(0, n, size=(RESAMPLES, n)) * RESAMPLES + np.arange(RESAMPLES)[:, None]
        tallies[:, process] = np.bincount(cells.ravel(), minlength=n * RESAMPLES).reshape(n, RESAMPLES)
    drawn = rng.integers(0, processes, (RESAMPLES, processes))
    return tallies, drawn * RESAMPLES + rng.integers(0, RESAMPLES, (RESAMPLES, processes))


def _resampled_medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians of RESAMPLES resamples with replacement, to the last bit those of np.median.

    Ranks are drawn and sorted instead of the values, which takes half the time: a few ranks sort fastest as bytes, more
    of them as 32-bit integers. The resamples are drawn in blocks, which are the same as if they were drawn at once.

    For more than RESAMPLED_UP_TO values, the ranks of a resample's median are drawn from their own distribution, at a
    cost that does not depend on the number of values: the k-th smallest of n uniform values follows Beta(k, n + 1 - k),
    and the next one is the smallest of the n - k others above it (David and Nagaraja 2003, Order Statistics, 2.3, 2.5).
    """
    n = len(values)
    if n == 1:  # drawing from a single value leaves the state of the generator unchanged
        return np.full(RESAMPLES, values[0])
    order = np.argsort(values)
    ordered = values[order]
    half = n // 2
    if n > RESAMPLED_UP_TO:
        lower = rng.beta(half + n % 2, half + 1, RESAMPLES)
        upper = lower if n % 2 else lower + (1 - lower) * rng.beta(1, half, RESAMPLES)
        below, above = (ordered[np.minimum(n * share, n - 1).astype(np.intp)] for share in (lower, upper))
        return below if n % 2 else (below + above) / 2

    ranks = np.empty(n, dtype=np.uint8 if n <= 8 else np.int32)
    ranks[order] = np.arange(n)
    medians = np.empty(RESAMPLES)
    rows = max(1, BLOCK // n)
    for first in range(0, RESAMPLES, rows):
        block = medians[first : first + rows]
        drawn = np.sort(ranks[rng.integers(0, n, size=(len(block), n))], axis=1)
        above = ordered[drawn[:, half]]
        block[:] = above if n % 2 else (ordered[drawn[:, half - 1]] + above) / 2
    return medians
