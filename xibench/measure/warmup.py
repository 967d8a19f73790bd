"""When warm-up has ended: a rule with the verbs of `stopping`, that looks for a trend in the discarded steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Final

SIGNIFICANCE: Final = 0.05  # two-sided
MIN_WINDOW: Final = 5  # steps: with four, not even a steady rise is rarer than 5 % by chance
MAX_WINDOW: Final = 20  # steps
NO_TREND: Final = "no trend"


@dataclass(frozen=True, slots=True)
class WarmupLimits:
    """How many steps are discarded after the first one."""

    min_steps: int  # whatever they take
    max_steps: int  # at most, even if a trend goes on
    budget_s: float  # no step of the warm-up starts this long after its first, once min_steps are done


class Warmup:
    """Ends the warm-up when the last half of the discarded steps shows no trend, or at a limit.

    The half is at least 5 and at most 20 steps, so that 5 are discarded where no limit cuts that off. A trend upwards
    is one too: a processor that gets hot slows down. Five steps show only a trend that never turns back; a slower one
    is seen later or not at all, and the discarded steps stay in the record for whoever doubts it.
    """

    def __init__(self, limits: WarmupLimits) -> None:
        self._limits = limits
        self._began_s = 0.0
        self._steps: list[float] = []

    def begin(self, now_s: float) -> None:
        """Starts the budget and forgets earlier steps."""
        self._began_s = now_s
        self._steps = []

    def add(self, step_s: float) -> None:
        """One more discarded step."""
        self._steps.append(step_s)

    def finished(self, now_s: float) -> str | None:
        """`no trend`, `max_warmup_steps 50` or `warmup_budget_s 10.0`; None while it goes on."""
        n, limits = len(self._steps), self._limits
        if limits.min_steps <= n and n >= MIN_WINDOW and mann_kendall(self._steps[-window(n) :]) > SIGNIFICANCE:
            return NO_TREND
        if n >= limits.max_steps:
            return f"max_warmup_steps {limits.max_steps}"
        if n >= limits.min_steps and now_s - self._began_s >= limits.budget_s:
            return f"warmup_budget_s {limits.budget_s}"
        return None


def window(n: int) -> int:
    """How many of n discarded steps, counted from the last, are looked at: half of them, at least 5, at most 20."""
    return min(MAX_WINDOW, max(MIN_WINDOW, n // 2))


def mann_kendall(values: Sequence[float]) -> float:
    """Two-sided p of the Mann-Kendall test that the values, in the order taken, have no monotone trend.

    S is the number of pairs that rise minus the number that fall (Mann 1945, Econometrica 13, 245-259). Without ties
    the distribution of S is exact; with ties it is normal, with the variance for tied groups and a continuity
    correction (Gilbert 1987, Statistical Methods for Environmental Pollution Monitoring, section 16.4).
    """
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    ties = [count for count in Counter(values).values() if count > 1]
    if not ties:
        return _exact_p(len(values), abs(score))
    n = len(values)
    variance = (_spread(n) - sum(_spread(count) for count in ties)) / 18
    if variance == 0 or score == 0:
        return 1.0
    return math.erfc((abs(score) - 1) / math.sqrt(2 * variance))


def _spread(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)


@cache
def _exact_p(n: int, score: int) -> float:
    """P(|S| >= score) over all orders of n values.

    An order with k inversions has S = n(n-1)/2 - 2k, and S is symmetric about 0.
    """
    if score <= 0:
        return 1.0
    counts = _inversions(n)
    return 2 * sum(counts[: (n * (n - 1) // 2 - score) // 2 + 1]) / math.factorial(n)


@cache
def _inversions(n: int) -> tuple[int, ...]:
    """How many of the n! orders have 0, 1, 2, ... inversions (Knuth, The Art of Computer Programming 3, 5.1.1)."""
    if n < 2:
        return (1,)
    fewer = _inversions(n - 1)
    return tuple(sum(fewer[max(0, k - n + 1) : k + 1]) for k in range(len(fewer) + n - 1))
