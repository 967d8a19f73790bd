"""When a process has measured enough: objects with three verbs (begin, add, finished), and limits with units.

The verbs are called between steps, outside of the timed section. A rule costs microseconds at each call, on average
over its calls, whatever it has seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

CONFIDENCE: Final = 0.95
NORMAL_QUANTILE: Final = 1.959964  # of (1 + CONFIDENCE) / 2
EXACT_UP_TO: Final = 100  # steps for which the ranks of the interval are computed from the binomial distribution itself


@dataclass(frozen=True, slots=True)
class Limits:
    """How many timed steps one process takes. At least one step is timed, whatever the limits say."""

    min_steps: int  # timed steps, whatever they take
    max_steps: int  # timed steps at most
    budget_s: float  # no timed step starts this long after the first of them, once min_steps are done
    half_width: float | None = None  # share of the median below which half its 95 % interval is narrow enough


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


class FixedCount:
    """Finished after a number of steps, and never before the first."""

    def __init__(self, max_steps: int) -> None:
        self._max_steps = max_steps
        self._steps = 0

    def begin(self, now_s: float) -> None:
        """Forgets earlier steps."""
        self._steps = 0

    def add(self, step_s: float) -> None:
        """Counts a step; its length does not matter to this rule."""
        self._steps += 1

    def finished(self, now_s: float) -> str | None:
        """`max_steps 200`, with the number."""
        return f"max_steps {self._max_steps}" if self._steps >= max(1, self._max_steps) else None


class TimeBudget:
    """Finished once a time has passed, and never before the first step."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._began_s = 0.0
        self._steps = 0

    def begin(self, now_s: float) -> None:
        """Starts the budget."""
        self._began_s = now_s
        self._steps = 0

    def add(self, step_s: float) -> None:
        """Notes that there was a step; its length does not matter to this rule, which is told the time."""
        self._steps += 1

    def finished(self, now_s: float) -> str | None:
        """`budget_s 10.0`, with the budget."""
        over = self._steps > 0 and now_s - self._began_s >= self._budget_s
        return f"budget_s {self._budget_s}" if over else None


class RelativeHalfWidth:
    """Finished when half the order-statistic interval of the median is at most a share of the median.

    The interval takes the steps as independent and is looked at after each one, so that its true coverage is below
    95 %. It decides when to stop, and no more: what is published comes from whole processes (`statistics`). Beyond
    two hundred steps it is looked at each time that there are 1 % more: sorting a million steps takes milliseconds.
    """

    def __init__(self, half_width: float) -> None:
        self._half_width = half_width
        self._steps: list[float] = []
        self._next_look = 0  # number of steps

    def begin(self, now_s: float) -> None:
        """Forgets earlier steps."""
        self._steps = []
        self._next_look = 0

    def add(self, step_s: float) -> None:
        """Keeps a step; those before it may be in order already."""
        self._steps.append(step_s)

    def finished(self, now_s: float) -> str | None:
        """`half_width 0.01`, with the share; never with fewer than six steps, which hold no 95 % interval."""
        steps = self._steps
        if len(steps) < self._next_look:
            return None
        self._next_look = len(steps) + len(steps) // 100
        steps.sort()  # of a list that was sorted and has grown by a few steps, only these are moved
        rank = lower_rank(len(steps))
        if rank is None:
            return None
        half = (steps[len(steps) - rank] - steps[rank - 1]) / 2
        middle = (steps[(len(steps) - 1) // 2] + steps[len(steps) // 2]) / 2
        return f"half_width {self._half_width}" if half <= self._half_width * middle else None


class AnyOf:
    """Finished as soon as one of its rules is and `min_steps` are done."""

    def __init__(self, rules: Sequence[StoppingRule], min_steps: int = 1) -> None:
        self._rules = tuple(rules)
        self._min_steps = min_steps
        self._steps = 0

    def begin(self, now_s: float) -> None:
        """Begins every rule."""
        self._steps = 0
        for rule in self._rules:
            rule.begin(now_s)

    def add(self, step_s: float) -> None:
        """Tells every rule of the step."""
        self._steps += 1
        for rule in self._rules:
            rule.add(step_s)

    def finished(self, now_s: float) -> str | None:
        """What the first finished rule says, in the order in which they were given."""
        if self._steps < self._min_steps:
            return None
        return next((reason for rule in self._rules if (reason := rule.finished(now_s)) is not None), None)


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
