"""When a process has measured enough: an object with three verbs (begin, add, finished), and limits with units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """How many timed steps one process takes. At least one step is timed, whatever the limits say."""

    min_steps: int  # timed steps, whatever they take
    max_steps: int  # timed steps at most
    budget_s: float  # no timed step starts this long after the first of them, once min_steps are done


class StoppingRule(Protocol):
    """Decides after each timed step whether another one follows."""

    def begin(self, now_s: float) -> None:
        """Timing starts now; what was added before is forgotten."""

    def add(self, step_s: float) -> None:
        """One more step has taken `step_s` seconds."""

    def finished(self, now_s: float) -> str | None:
        """What ended the sampling, for the record; None while it goes on."""


class CountOrBudget:
    """Stops at `max_steps`, or when `budget_s` has passed and `min_steps` are done, whichever comes first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began_s = 0.0
        self._steps = 0

    def begin(self, now_s: float) -> None:
        """Starts the budget and forgets earlier steps."""
        self._began_s = now_s
        self._steps = 0

    def add(self, step_s: float) -> None:
        """Counts a step; its length does not matter to this rule."""
        self._steps += 1

    def finished(self, now_s: float) -> str | None:
        """`max_steps 200` or `budget_s 10.0`, with the limit that was reached; None while neither is."""
        if self._steps == 0:
            return None
        if self._steps >= self._limits.max_steps:
            return f"max_steps {self._limits.max_steps}"
        if self._steps >= self._limits.min_steps and now_s - self._began_s >= self._limits.budget_s:
            return f"budget_s {self._limits.budget_s}"
        return None
