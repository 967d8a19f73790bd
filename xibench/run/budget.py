"""The total budget of a run, shared out over the processes that it still owes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from xibench.record.schema import Attempt, SamplingConfig


class RunBudget:
    """How much wall time the next process may take: an equal share of what is left.

    What a process leaves of its share goes to all that come after it, and what it takes beyond is missing there. A
    share covers everything that a process takes: its float64 reference, start, compilation, warm-up and timed steps.
    The worker ends its sampling when the share is used up, but always takes the minimum numbers of steps, so that
    every case has a result, if need be after the budget.

    Args:
        sampling: The run's; without `total_budget_s` no share is ever given.
        attempts: What the run file holds already: a run that is resumed has less left.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, sampling: SamplingConfig, attempts: Sequence[Attempt], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._ends_s: float | None = None
        self._share_ends_s: float | None = None
        if sampling.total_budget_s is not None:
            spent_s = sum(attempt.surroundings.wall_s for attempt in attempts if attempt.surroundings)
            self._ends_s = clock() + sampling.total_budget_s - spent_s

    def begin(self, owed: int) -> None:
        """Start the share of the next process, the first of `owed` that are still to be taken."""
        if self._ends_s is not None:
            now_s = self._clock()
            self._share_ends_s = now_s + max(0.0, self._ends_s - now_s) / owed

    def left_s(self) -> float | None:
        """Return what is left of the share now, in seconds; None where the run has no total budget."""
        return None if self._share_ends_s is None else max(0.0, self._share_ends_s - self._clock())
