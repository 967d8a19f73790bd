"""When steps have settled and when there are enough: rules with three verbs (begin, add, finished), limits with units.

`Warmup` ends the warm-up, by a test for a trend in the discarded steps; the other rules end the timed steps. The verbs
are called between steps, outside of the timed section. A rule costs microseconds at each call, on average over its
calls, whatever it has seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import combinations
from typing import Final, Protocol

CONFIDENCE: Final = 0.95
NORMAL_QUANTILE: Final = 1.959964  # of (1 + CONFIDENCE) / 2
EXACT_UP_TO: Final = 100  # steps for which the ranks of the interval are computed from the binomial distribution itself
SIGNIFICANCE: Final = 0.05  # of the test for a trend, two-sided
MIN_WINDOW: Final = 5  # steps: with four, not even a steady rise is rarer than 5 % by chance
MAX_WINDOW: Final = 20  # steps
NO_TREND: Final = "no trend"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many timed steps one process takes. At least one step is timed, whatever the limits say."""

    min_steps: int  # timed steps, whatever they take
    max_steps: int  # timed steps at most
    budget_s: float  # no timed step starts this long after the first of them, once min_steps are done
    half_width: float | None = None  # share of the median below which half its 95 % interval is narrow enough


@dataclass(frozen=True, slots=True)
class WarmupLimits:
    """How many steps are discarded after the first one."""

    min_steps: int  # whatever they take
    max_steps: int  # at most, even if a trend goes on
    budget_s: float  # no step of the warm-up starts this long after its first, once min_steps are done


class StoppingRule(Protocol):
    """Decides after each step whether another one follows."""

    def begin(self, now_s: float) -> None:
        """Steps start now; what was added before is forgotten."""

    def add(self, step_s: float) -> None:
        """One more step has taken `step_s` seconds."""

    def finished(self, now_s: float) -> str | None:
        """What ended it, for the record; None while it goes on."""


def rule_of(limits: Limits) -> StoppingRule:
    """The rule of a run: at most `max_steps`; from `min_steps` on also the budget and, if wanted, the half-width."""
    later: list[StoppingRule] = [TimeBudget(limits.budget_s)]
    if limits.half_width is not None:
        later.append(RelativeHalfWidth(limits.half_width))
    return AnyOf([FixedCount(limits.max_steps), AnyOf(later, min_steps=limits.min_steps)])


@dataclass
class StepsSoFar:
    """The steps since `begin`: the base class of the rules, each of which keeps its own."""

    began_s: float = field(default=0.0, init=False)  # on the clock that is passed to `begin`
    steps: list[float] = field(default_factory=list, init=False)  # in seconds

    def begin(self, now_s: float) -> None:
        """Steps start now; forgets earlier ones."""
        self.began_s = now_s
        self.steps = []

    def add(self, step_s: float) -> None:
        """One more step."""
        self.steps.append(step_s)


@dataclass
class Warmup(StepsSoFar):
    """Ends the warm-up when the last half of the discarded steps shows no trend, or at a limit.

    The half is at least 5 and at most 20 steps, so that 5 are discarded where no limit cuts that off. A trend upwards
    is one too: a processor that gets hot slows down. Five steps show only a trend that never turns back; a slower one
    is seen later or not at all, and the discarded steps stay in the record for whoever doubts it.
    """

    limits: WarmupLimits

    def finished(self, now_s: float) -> str | None:
        """`no trend`, `max_warmup_steps 50` or `warmup_budget_s 10.0`; None while it goes on."""
        n, limits = len(self.steps), self.limits
        if limits.min_steps <= n and n >= MIN_WINDOW and mann_kendall(self.steps[-window(n) :]) > SIGNIFICANCE:
            return NO_TREND
        if n >= limits.max_steps:
            return f"max_warmup_steps {limits.max_steps}"
        if n >= limits.min_steps and now_s - self.began_s >= limits.budget_s:
            return f"warmup_budget_s {limits.budget_s}"
        return None


@dataclass
class FixedCount(StepsSoFar):
    """Finished after a number of steps, and never before the first."""

    max_steps: int

    def finished(self, now_s: float) -> str | None:
        """`max_steps 200`, with the number."""
        return f"max_steps {self.max_steps}" if len(self.steps) >= max(1, self.max_steps) else None


@dataclass
class TimeBudget(StepsSoFar):
    """Finished once a time has passed, and never before the first step."""

    budget_s: float

    def finished(self, now_s: float) -> str | None:
        """`budget_s 10.0`, with the budget."""
        return f"budget_s {self.budget_s}" if self.steps and now_s - self.began_s >= self.budget_s else None


@dataclass
class EndsBy(StepsSoFar):
    """Finished if another step as long as the previous one would end too late; perhaps before the first.

    moment_s: the deadline, on the clock that is passed to `begin`. reason: what `finished` returns.
    share: the part of the time between `begin` and the deadline that may be used.
    """

    moment_s: float
    reason: str
    share: float = 1.0

    def finished(self, now_s: float) -> str | None:
        """The reason if there is no time for another step."""
        ends_s = self.began_s + self.share * (self.moment_s - self.began_s)
        return self.reason if now_s + sum(self.steps[-1:]) > ends_s else None


@dataclass
class RelativeHalfWidth(StepsSoFar):
    """Finished when half the order-statistic interval of the median is at most a share of the median.

    The interval takes the steps as independent and is looked at after each one, so that its true coverage is below
    95 %. It decides when to stop, and no more: what is published comes from whole processes (`statistics`). Beyond
    two hundred steps it is looked at about each time that there are 1 % more: sorting a million takes milliseconds.
    """

    half_width: float

    def finished(self, now_s: float) -> str | None:
        """`half_width 0.01`, with the share; never with fewer than six steps, which hold no 95 % interval."""
        steps, n = self.steps, len(self.steps)
        rank = lower_rank(n)
        if rank is None or n % max(1, n // 100):
            return None
        steps.sort()  # of a list that was sorted and has grown by a few steps, only these are moved
        half = (steps[n - rank] - steps[rank - 1]) / 2
        middle = (steps[(n - 1) // 2] + steps[n // 2]) / 2
        return f"half_width {self.half_width}" if half <= self.half_width * middle else None


@dataclass
class AnyOf(StepsSoFar):
    """Finished as soon as one of its rules is and `min_steps` are done."""

    rules: Sequence[StoppingRule]
    min_steps: int = 1

    def begin(self, now_s: float) -> None:
        """Begins every rule."""
        super().begin(now_s)
        for rule in self.rules:
            rule.begin(now_s)

    def add(self, step_s: float) -> None:
        """Tells every rule of the step."""
        super().add(step_s)
        for rule in self.rules:
            rule.add(step_s)

    def finished(self, now_s: float) -> str | None:
        """What the first finished rule says, in the order in which they were given."""
        if len(self.steps) < self.min_steps:
            return None
        return next((reason for rule in self.rules if (reason := rule.finished(now_s)) is not None), None)


@lru_cache(maxsize=EXACT_UP_TO + 1)
def _exact_lower_rank(n: int) -> int:
    tail = (1 - CONFIDENCE) / 2 * 2**n
    below, rank = 0, 0
    while (below := below + math.comb(n, rank)) <= tail:
        rank += 1
    return rank


def lower_rank(n: int) -> int | None:
    """Rank r (from 1) of the order statistic that begins the 95 % interval of the median of n independent values.

    The interval ends at rank n + 1 - r. None where n is too small for one (below 6). The largest r with
    P(B < r) <= 2.5 % for B binomial (n, 1/2); above 100 values by the normal approximation with continuity (Conover,
    Practical Nonparametric Statistics, 3rd edition, section 3.2).
    """
    if n <= EXACT_UP_TO:
        return _exact_lower_rank(n) or None
    return math.floor((n + 1 - NORMAL_QUANTILE * math.sqrt(n)) / 2)


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
