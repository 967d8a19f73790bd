"""When steps have settled and when there are enough: rules with three verbs (begin, add, finished), limits with units.

`Warmup` ends the warm-up, by a test for a trend in the discarded steps; `TimedSteps` ends the timed steps. Either also
ends at a `Deadline`. The verbs are called between steps, outside of the timed section. A rule costs microseconds at
each call, on average over its calls, whatever it has seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import combinations
from typing import Final, Protocol

import msgspec

CONFIDENCE: Final = 0.95
NORMAL_QUANTILE: Final = 1.959964  # of (1 + CONFIDENCE) / 2
EXACT_UP_TO: Final = 100  # steps for which the ranks of the interval are computed from the binomial distribution itself
SIGNIFICANCE: Final = 0.05  # of the test for a trend, two-sided
MIN_WINDOW: Final = 5  # steps: with four, not even a steady rise is rarer than 5 % by chance
MAX_WINDOW: Final = 20  # steps
NO_TREND: Final = "no trend"


class Limits(msgspec.Struct, frozen=True):
    """How many timed steps one process takes. At least one step is timed, whatever the limits say."""

    min_steps: int  # timed steps, whatever they take
    max_steps: int  # timed steps at most
    budget_s: float  # no timed step starts this long after the first of them, once min_steps are done
    half_width: float | None = None  # share of the median below which half its 95 % interval is narrow enough


class WarmupLimits(msgspec.Struct, frozen=True):
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


class Deadline(msgspec.Struct, frozen=True):
    """A time by which a rule ends: no step starts that would end later if it took as long as the previous one."""

    moment_s: float  # on the clock that is passed to `begin`
    reason: str  # for the record
    min_steps: int = 0  # taken even if they end later
    share: float = 1.0  # part of the time between `begin` and the moment that may be used


@dataclass
class StepsSoFar:
    """The steps since `begin`, and the deadlines: the base class of the rules."""

    deadlines: Sequence[Deadline] = field(default=(), kw_only=True)
    began_s: float = field(default=0.0, init=False)  # on the clock that is passed to `begin`
    steps: list[float] = field(default_factory=list, init=False)  # in seconds; a subclass may reorder them
    last_s: float = field(default=0.0, init=False)  # duration of the latest step

    def begin(self, now_s: float) -> None:
        """Steps start now; forgets earlier ones."""
        self.began_s = now_s
        self.steps = []
        self.last_s = 0.0

    def add(self, step_s: float) -> None:
        """One more step."""
        self.steps.append(step_s)
        self.last_s = step_s

    def overdue(self, now_s: float) -> str | None:
        """Return the reason of the first deadline that another step would miss; None if there is time for one."""
        for deadline in self.deadlines:
            ends_s = self.began_s + deadline.share * (deadline.moment_s - self.began_s)
            if len(self.steps) >= deadline.min_steps and now_s + self.last_s > ends_s:
                return deadline.reason
        return None


@dataclass
class Warmup(StepsSoFar):
    """Ends the warm-up when the last half of the discarded steps shows no trend, or at a limit or deadline.

    The half is at least 5 and at most 20 steps, so that 5 are discarded where no limit cuts that off. A trend upwards
    is one too: a processor that gets hot slows down. Five steps show only a trend that never turns back; a slower one
    is seen later or not at all, and the discarded steps stay in the record for whoever doubts it.
    """

    limits: WarmupLimits

    def finished(self, now_s: float) -> str | None:
        """`no trend`, `max_warmup_steps 50`, `warmup_budget_s 10.0` or a deadline's reason; None while it goes on."""
        n, limits = len(self.steps), self.limits
        window = min(MAX_WINDOW, max(MIN_WINDOW, n // 2))
        if limits.min_steps <= n and n >= MIN_WINDOW and mann_kendall(self.steps[-window:]) > SIGNIFICANCE:
            return NO_TREND
        if n >= limits.max_steps:
            return f"max_warmup_steps {limits.max_steps}"
        if n >= limits.min_steps and now_s - self.began_s >= limits.budget_s:
            return f"warmup_budget_s {limits.budget_s}"
        return self.overdue(now_s)


@dataclass
class TimedSteps(StepsSoFar):
    """Ends the timed steps: at most `max_steps`; from `min_steps` on also by the budget and, if set, the half-width.

    The half-width is that of the order-statistic interval of the median. The interval takes the steps as independent
    and is looked at after each one, so that its true coverage is below 95 %. It decides when to stop, and no more: what
    is published comes from whole processes (`statistics`). Beyond two hundred steps it is looked at about each time
    that there are 1 % more: sorting a million takes milliseconds.
    """

    limits: Limits

    def finished(self, now_s: float) -> str | None:
        """`max_steps 200`, `budget_s 10.0`, `half_width 0.01` or a deadline's reason; None while it goes on."""
        steps, n, limits = self.steps, len(self.steps), self.limits
        if n == 0:
            return None
        if n >= limits.max_steps:
            return f"max_steps {limits.max_steps}"
        if n >= limits.min_steps and now_s - self.began_s >= limits.budget_s:
            return f"budget_s {limits.budget_s}"

        # Fewer than six steps hold no 95 % interval.
        looked_at = n >= limits.min_steps and n % max(1, n // 100) == 0
        if limits.half_width is not None and looked_at and (rank := lower_rank(n)) is not None:
            steps.sort()  # of a list that was sorted and has grown by a few steps, only these are moved
            half = (steps[n - rank] - steps[rank - 1]) / 2
            middle = (steps[(n - 1) // 2] + steps[n // 2]) / 2
            if half <= limits.half_width * middle:
                return f"half_width {limits.half_width}"
        return self.overdue(now_s)


@lru_cache(maxsize=EXACT_UP_TO + 1)
def lower_rank(n: int) -> int | None:
    """Rank r (from 1) of the order statistic that begins the 95 % interval of the median of n independent values.

    The interval ends at rank n + 1 - r. None where n is too small for one (below 6). The largest r with
    P(B < r) <= 2.5 % for B binomial (n, 1/2); above 100 values by the normal approximation with continuity (Conover,
    Practical Nonparametric Statistics, 3rd edition, section 3.2).
    """
    if n > EXACT_UP_TO:
        return math.floor((n + 1 - NORMAL_QUANTILE * math.sqrt(n)) / 2)
    tail = (1 - CONFIDENCE) / 2 * 2**n
    below, rank = 0, 0
    while (below := below + math.comb(n, rank)) <= tail:
        rank += 1
    return rank or None


def mann_kendall(values: Sequence[float]) -> float:
    """Two-sided p of the Mann-Kendall test that the values, in the order taken, have no monotone trend.

    S is the number of pairs that rise minus the number that fall (Mann 1945, Econometrica 13, 245-259). Without ties
    the distribution of S is exact; with ties it is normal, with the variance for tied groups and a continuity
    correction (Gilbert 1987, Statistical Methods for Environmental Pollution Monitoring, section 16.4).
    """
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    ties = [count for count in Counter(values).values() if count > 1]
    n = len(values)
    if not ties:  # an order with k inversions has S = n(n-1)/2 - 2k, and S is symmetric about 0
        rarer = (n * (n - 1) // 2 - abs(score)) // 2 + 1
        return min(1.0, 2 * sum(_inversions(n)[:rarer]) / math.factorial(n))
    variance = (_spread(n) - sum(_spread(count) for count in ties)) / 18
    if variance == 0 or score == 0:
        return 1.0
    return math.erfc((abs(score) - 1) / math.sqrt(2 * variance))


def _spread(n: int) -> int:
    return n * (n - 1) * (2 * n + 5)


@cache
def _inversions(n: int) -> tuple[int, ...]:
    """How many of the n! orders have 0, 1, 2, ... inversions (Knuth, The Art of Computer Programming 3, 5.1.1)."""
    if n < 2:
        return (1,)
    fewer = _inversions(n - 1)
    return tuple(sum(fewer[max(0, k - n + 1) : k + 1]) for k in range(len(fewer) + n - 1))
