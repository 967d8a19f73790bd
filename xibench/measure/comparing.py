"""Whether one thing is slower than another: ratios, their intervals, and verdicts over many cases at once.

A verdict has three values and a doubt. Everything works on log ratios: new over base, so that above 0 is slower where
the figure is a time.

For `ab`, which looks after every pair of processes and stops when it knows enough, ordinary p-values and intervals
would not hold: looking often enough always finds something. It uses an e-value, a statistic that may be looked at after
every pair (`e_value`), and the confidence sequence that belongs to it (`confidence_sequence`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from xibench.measure.statistics import resampled_means, widened

Verdict = Literal["faster", "slower", "same", "unsure"]
THRESHOLD: Final = 0.02  # a change within ±2 % is called the same
FALSE_DISCOVERIES: Final = 0.01  # of the cases called faster or slower, at most this share is wrong on average
DOUBT: Final = 0.05  # 1 - confidence of the interval that must lie within the threshold
EFFECT_VARIANCE: Final = 4.0
"""Of the normal mixture over effect sizes, in units of the pair-to-pair variance; see `e_value`."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """New over base, with its 95 % interval and the p-value of "no difference"; None where there are too few units."""

    ratio: float
    low: float | None
    high: float | None
    p: float | None
    n: int  # units: pairs of processes, or the processes of the side that has fewer
    paired: bool


def paired_ratio(log_ratios: Sequence[float]) -> Ratio:
    """The ratio from pairs, looked at as often as one likes: geometric mean, confidence sequence, anytime p-value.

    log_ratios: at least one, a pair of processes each. With one pair there is no interval.
    """
    centre = float(np.mean(log_ratios))
    reach = confidence_sequence(log_ratios, DOUBT)
    p = min((1 / e_value(log_ratios[:n]) for n in range(2, len(log_ratios) + 1)), default=None)
    return Ratio(
        math.exp(centre), _exp(centre, -reach), _exp(centre, reach), None if p is None else min(1.0, p),
        len(log_ratios), paired=True,
    )  # fmt: skip


def unpaired_ratio(base: Sequence[Sequence[float]], new: Sequence[Sequence[float]], seed: int = 0) -> Ratio:
    """The ratio of two stored cases, each with its processes and their samples (all above 0).

    Interval: hierarchical bootstrap of either side, widened for few processes as in `hierarchical_median`; the sides'
    distances are combined as roots of sums of squares (MOVER: Zou and Donner 2008). p: Welch's t-test of the log
    medians of the processes (scipy.stats.ttest_ind). Where a side has one process, no interval and no p: what differs
    from one process to the next cannot be told from a change.
    """
    sides = [[np.log(np.asarray(steps, dtype=np.float64)) for steps in side] for side in (base, new)]
    medians = [[float(np.median(values)) for values in side] for side in sides]
    centre = float(np.mean(medians[1]) - np.mean(medians[0]))
    fewest = min(map(len, sides))
    if fewest < 2:
        return Ratio(math.exp(centre), None, None, None, fewest, paired=False)
    rng = np.random.default_rng(seed)
    means = [resampled_means(side, rng) for side in sides]
    (_, *bounds), (_, *others) = (widened(mean, side) for mean, side in zip(means, sides, strict=True))
    at = [float(np.mean(side)) for side in medians]
    low = math.hypot(at[1] - others[0], bounds[1] - at[0])
    high = math.hypot(others[1] - at[1], at[0] - bounds[0])
    p = _welch(medians)
    return Ratio(math.exp(centre), math.exp(centre - low), math.exp(centre + high), p, fewest, paired=False)


def verdicts(ratios: Sequence[Ratio], threshold: float = THRESHOLD) -> list[Verdict]:
    """A verdict per case, all cases at once.

    same: the interval lies within ±threshold, even where the difference is certain: it is too small to matter.
    faster, slower: the p-value is significant after Benjamini and Hochberg (1995) at FALSE_DISCOVERIES over all cases
    (scipy.stats.false_discovery_control). unsure: neither, yet.
    """
    adjusted = _adjusted([ratio.p for ratio in ratios])
    return [_verdict(ratio, p, threshold) for ratio, p in zip(ratios, adjusted, strict=True)]


def e_value(log_ratios: Sequence[float]) -> float:
    """Evidence against "no difference" that stays valid however often one looks: P(ever above 1/a) is at most a.

    The mixture t-test under a normal prior N(0, g) on the effect size mean / deviation and the right Haar prior on the
    deviation: with t = mean sqrt(n) / s and v = n - 1,

        E = (1 + n g)^(-1/2)  [(1 + t^2 / v) / (1 + t^2 / (v (1 + n g)))]^((v + 1) / 2)

    (Rouder and others 2009, equation 1, for one g; as a martingale: Lai 1976; Wang and Ramdas 2025, "Anytime-valid
    t-tests and confidence sequences for Gaussian means with unknown variance"). With fewer than 2 log ratios it is 1.
    """
    n = len(log_ratios)
    spread = float(np.std(log_ratios, ddof=1)) if n > 1 else 0.0
    centre = float(np.mean(log_ratios))
    if n < 2 or (spread == 0 and centre == 0):
        return 1.0
    t2 = math.inf if spread == 0 else n * (centre / spread) ** 2
    prior = 1 + n * EFFECT_VARIANCE
    v = n - 1
    quotient = prior if math.isinf(t2) else (1 + t2 / v) / (1 + t2 / (v * prior))
    return float(prior**-0.5 * quotient ** ((v + 1) / 2))


def confidence_sequence(log_ratios: Sequence[float], doubt: float) -> float:
    """Half the width of the interval around the mean that holds the truth at every look, with confidence 1 - doubt.

    All values that `e_value` does not reject at `doubt`; infinite while there are too few pairs for that.
    """
    n = len(log_ratios)
    critical = _critical_t(n, doubt)
    return critical if math.isinf(critical) else critical * float(np.std(log_ratios, ddof=1)) / math.sqrt(n)


def detectable(pair_deviation: float, pairs: int, power: float = 0.95) -> float | None:
    """The smallest change, as a ratio minus 1, that this many pairs find with this power at FALSE_DISCOVERIES.

    pair_deviation: standard deviation of the log ratio from pair to pair. The t statistic of n pairs is noncentral t
    with n - 1 degrees of freedom (Cohen 1988, chapter 2), and `e_value` rejects beyond one value of it. None where n
    pairs are too few to reject at all.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct

    n = pairs
    critical = _critical_t(n, FALSE_DISCOVERIES)
    if math.isinf(critical):
        return None
    effect = brentq(lambda d: nct.sf(critical, n - 1, d * math.sqrt(n)) - power, 0.0, 2 * critical + 10)
    return math.expm1(pair_deviation * float(effect))


def min_pairs() -> int:
    """The fewest pairs with which any change, however great, can be called slower or faster."""
    return next(n for n in itertools.count(2) if math.isfinite(_critical_t(n, FALSE_DISCOVERIES)))


def further_pairs(log_ratios: Sequence[float], threshold: float = THRESHOLD, most: int = 1000) -> int | None:
    """How many more pairs would decide a case if their mean and spread stayed as they are.

    Args:
        log_ratios: Of the pairs so far.
        threshold: A change within this share counts as the same.
        most: The largest number of pairs that is considered.

    Returns:
        The number, at least 1; None with fewer than 3 pairs, whose spread says little, or if `most` would not do.
    """
    n = len(log_ratios)
    if n < 3:
        return None
    centre, spread = abs(float(np.mean(log_ratios))), float(np.std(log_ratios, ddof=1))
    for more in range(1, most - n + 1):
        error = spread / math.sqrt(n + more)
        differs = centre >= _critical_t(n + more, FALSE_DISCOVERIES) * error
        if differs or centre + _critical_t(n + more, DOUBT) * error < math.log1p(threshold):
            return more
    return None


def _critical_t(n: int, doubt: float) -> float:
    """The t statistic of n pairs from which on `e_value` is 1 / doubt; infinite where none is."""
    if n < 2:
        return math.inf
    prior = 1 + n * EFFECT_VARIANCE
    c = (math.sqrt(prior) / doubt) ** (2 / n)
    return math.sqrt((n - 1) * (c - 1) / (1 - c / prior)) if c < prior else math.inf


def _verdict(ratio: Ratio, p: float | None, threshold: float) -> Verdict:
    if ratio.low is not None and ratio.high is not None:
        if ratio.low > 1 / (1 + threshold) and ratio.high < 1 + threshold:
            return "same"
        if p is not None and p <= FALSE_DISCOVERIES:
            return "slower" if ratio.ratio > 1 else "faster"
    return "unsure"


def _adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    known = [p for p in p_values if p is not None]
    if len(known) < 2:
        return list(p_values)
    from scipy.stats import false_discovery_control

    adjusted = iter(false_discovery_control(known))
    return [None if p is None else float(next(adjusted)) for p in p_values]


def _welch(medians: Sequence[Sequence[float]]) -> float:
    from scipy.stats import ttest_ind

    if all(len(set(side)) == 1 for side in medians):  # no spread at all: a fake clock
        return 1.0 if medians[0][0] == medians[1][0] else 0.0
    return float(ttest_ind(medians[0], medians[1], equal_var=False).pvalue)


def _exp(centre: float, reach: float) -> float | None:
    return None if math.isinf(reach) else math.exp(centre + reach)

