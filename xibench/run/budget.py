"""The total budget of a run, shared out over the processes that it still owes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from xibench.record.schema import Attempt, SamplingConfig


class RunBudget:
    """How much wall time the next process may take: an equal share of what is left of the run's total budget.

    Ceilings and golden outputs, which many processes share, come out of the whole. A share covers everything else that
    a process takes: its start, compilation, warm-up and timed steps. A process that takes less than its share leaves
    more to all later ones, and one that takes more leaves less. The worker ends its sampling when the share is used
    up, but always takes the minimum numbers of steps, so that every case has a result, if need be after the budget.

    Args:
        sampling: The run's; without `total_budget_s` there are no shares.
        attempts: The attempts in the run file: a run that is resumed has less left.
        clock: Seconds that never go back.
    """

    def __init__(
        self, sampling: SamplingConfig, attempts: Sequence[Attempt], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._ends_s: float | None = None
        if sampling.total_budget_s is not None:
            spent_s = sum(attempt.surroundings.wall_s for attempt in attempts if attempt.surroundings)
            self._ends_s = clock() + sampling.total_budget_s - spent_s

    def share_s(self, owed: int) -> float | None:
        """Return the share of a process that starts now, in seconds; None where the run has no total budget.

        Args:
            owed: The number of processes that the run still has to measure, this one among them.
        """
        return None if self._ends_s is None else max(0.0, self._ends_s - self._clock()) / owed
