"""The order in which a run starts its processes, and how much of the run's total budget each of them gets.

Processes run in rounds over the cases, each in a seeded random order, so that drift of the machine affects all cases
alike. The order follows from the plan, the sampling configuration and the attempts so far, so a resumed run continues
where it stopped.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from xibench.record.index import TOO_LARGE, AttemptIndex, series
from xibench.record.schema import Attempt, Case, SamplingConfig, Status
from xibench.run.estimate import process_s


class ProcessSlot(msgspec.Struct, frozen=True):
    """One pending process of a case. Its `number`, from 0, is also its round."""

    case: Case
    number: int


def remaining_slots(
    index: AttemptIndex, todo: Collection[Case], fits: Callable[[Case], bool] = lambda case: True
) -> Iterator[ProcessSlot]:
    """Yield the processes that are still pending, one at a time, in the order in which they run.

    A round ends before the next one begins. Within a round every case is tried once before any is repeated: whatever
    disturbed a process may have passed by the end of its round. Each slot is yielded until the index has an attempt
    that settles it, so the caller adds the attempt before it takes the next slot.

    A settled process is never pending again, and a case that was tried stays tried. Each case is therefore looked at
    only until it leaves its queue, and scheduling costs a few look-ups per process however long the run is.

    Args:
        index: the run's attempts; it grows between slots.
        todo: the cases of the plan to run.
        fits: whether a process of a case may still start; one that may not is left out, and so are its later ones.
    """
    cases = frozenset(todo)
    for number in range(index.sampling.processes):
        if not index.pending_cases[number]:
            continue
        order = [case for case in round_order(index.plan, index.sampling, number) if case in cases]
        untried, pending = deque(order), deque(order)
        while untried:
            if index.state(untried[0], number) == "untried" and fits(untried[0]):
                yield ProcessSlot(untried[0], number)
            else:
                untried.popleft()
        while pending:
            if index.state(pending[0], number) != "settled" and fits(pending[0]):
                yield ProcessSlot(pending[0], number)
            else:
                pending.popleft()


def round_order(plan: Sequence[Case], sampling: SamplingConfig, number: int) -> list[Case]:
    """Return the cases in the order of a round: a permutation seeded by the plan's seed and the round's number.

    In a sweep, the batches of one series occupy the same places of the permutation, smallest batch first.
    """
    order = list(plan)
    random.Random(f"{plan[0].seed}/{number}").shuffle(order)
    if not sampling.sweep:
        return order
    largest_first: dict[Case, list[Case]] = {}
    for case in sorted(plan, key=lambda case: case.batch, reverse=True):
        largest_first.setdefault(series(case), []).append(case)
    return [largest_first[series(case)].pop() for case in order]


def not_tried(case: Case, index: AttemptIndex) -> tuple[Status, str] | None:
    """Return the status and the reason of a case of a sweep that is skipped, because a smaller batch was too large.

    None if the case is tried: no smaller batch of its series ran out of memory or exceeded its time limit.
    """
    smaller = index.too_large(case) if index.sampling.sweep else None
    if smaller is None or smaller[0] >= case.batch:
        return None
    batch, status = smaller
    return status, f"not tried: batch {batch} {TOO_LARGE[status]}"


class RunBudget:
    """The run's total budget of wall time, divided equally among the processes that are still pending.

    Ceilings and golden outputs, which many processes share, come out of the whole budget. A share covers everything
    else in a process: its start, compilation, warm-up and timed steps. Time that one process does not use goes to the
    later ones. The worker ends its sampling when its share is used up, but it always takes the minimum numbers of
    steps: every case gets a result, even if that exceeds the budget.

    Args:
        budget_s: the run's, in seconds.
        attempts: the attempts in the run file, whose time a resumed run has already used.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, budget_s: float, attempts: Sequence[Attempt], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        spent_s = sum(attempt.surroundings.wall_s for attempt in attempts if attempt.surroundings)
        self._ends_s = clock() + budget_s - spent_s

    def share_s(self, pending: int) -> float:
        """Return the share of a process that starts now, in seconds.

        Args:
            pending: number of processes that the run still has to measure, including this one.
        """
        return max(0.0, self._ends_s - self._clock()) / pending


class CallBudget:
    """The wall time that one call of `xibench run` may take. No process starts that would not end within it.

    A process of a case is taken to need as long as the longest one of the case so far, ceilings and golden outputs not
    counted, or as long as `estimate` says before there is one. If that was too little, the process ends when the budget
    does, and counts for nothing. Cases are looked at in the order of the run, so that a short one may still start when
    a long one no longer does.

    Args:
        budget_s: from now on.
        sampling: of the run.
        attempts: those of the run file so far.
        cores: number of usable cores, for the estimate.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, budget_s: float, sampling: SamplingConfig, attempts: Sequence[Attempt], cores: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._ends_s = clock() + budget_s
        self._sampling = sampling
        self._cores = cores
        self._longest_s: dict[Case, float] = {}
        for attempt in attempts:
            self.ended(attempt)

    def fits(self, case: Case) -> bool:
        """Return whether a process of the case would end within the budget."""
        return self._needs_s(case) <= self.left_s()

    def left_s(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._ends_s - self._clock())

    def ended(self, attempt: Attempt) -> None:
        """Learn from an attempt how long a process of its case takes."""
        if attempt.surroundings:
            took_s = max(attempt.surroundings.wall_s, self._longest_s.get(attempt.case, 0.0))
            self._longest_s[attempt.case] = took_s

    def _needs_s(self, case: Case) -> float:
        return self._longest_s.get(case) or process_s(case, self._sampling, self._cores)
