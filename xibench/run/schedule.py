"""Which worker process comes next: rounds over the cases, each in a seeded random order, so that drift hits all alike.

Everything follows from the plan, the sampling and the attempts so far, so that a resumed run continues where it was.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from xibench.record.index import AttemptIndex, series
from xibench.record.schema import Case, SamplingConfig


@dataclass(frozen=True, slots=True)
class ProcessSlot:
    """One process that a case owes: its `number`, from 0, is also its round."""

    case: Case
    number: int


class Schedule:
    """The order in which a run's remaining processes are taken.

    A round ends before the next one begins. Within a round every case is tried once before any is tried again: what
    disturbed a process may have passed by the end of its round.

    A process that is no longer owed never is again, and one that was tried stays tried. So each case is looked at only
    until it can be passed over for good, and the whole run costs a few look-ups a process.

    Args:
        index: the run's attempts; it may grow between calls.
        todo: the cases of the plan to take.
    """

    def __init__(self, index: AttemptIndex, todo: Collection[Case]) -> None:
        self._index = index
        self._todo = frozenset(todo)
        self._number = -1
        self._untried: deque[Case] = deque()
        self._owing: deque[Case] = deque()

    def next_slot(self) -> ProcessSlot | None:
        """The next process of the cases in `todo`; None when they owe none."""
        while True:
            case = self._first(self._untried, self._is_untried) or self._first(self._owing, self._is_owed)
            if case is not None:
                return ProcessSlot(case, self._number)
            if not self._next_round():
                return None

    def _next_round(self) -> bool:
        """Move on to the next round in which a case of the plan owes a process; False after the last round."""
        plan, sampling = self._index.plan, self._index.sampling
        for number in range(self._number + 1, sampling.processes):
            if self._index.owed(number):
                order = [case for case in round_order(plan, sampling, number) if case in self._todo]
                self._number, self._untried, self._owing = number, deque(order), deque(order)
                return True
        return False

    def _is_owed(self, case: Case) -> bool:
        return self._index.owes(case, self._number)

    def _is_untried(self, case: Case) -> bool:
        return self._is_owed(case) and not self._index.was_tried(case, self._number)

    @staticmethod
    def _first(queue: deque[Case], is_due: Callable[[Case], bool]) -> Case | None:
        """The first case that is due; those before it leave the queue."""
        while queue and not is_due(queue[0]):
            queue.popleft()
        return queue[0] if queue else None


def round_order(plan: Sequence[Case], sampling: SamplingConfig, number: int) -> list[Case]:
    """The cases in the order of a round: a permutation drawn from the plan's seed and the round's number.

    In a sweep the batches of one series keep their places in it, but come smallest first.
    """
    order = list(plan)
    random.Random(f"{plan[0].seed}/{number}").shuffle(order)
    if not sampling.sweep:
        return order
    largest_first: dict[Case, list[Case]] = {}
    for case in sorted(plan, key=lambda case: case.batch, reverse=True):
        largest_first.setdefault(series(case), []).append(case)
    return [largest_first[series(case)].pop() for case in order]


def may_repeat(case: Case, index: AttemptIndex) -> bool:
    """Whether a disturbed process of the case is repeated, or kept because the case was repeated often enough."""
    return index.superseded(case) < index.sampling.repeats


def not_tried(case: Case, index: AttemptIndex) -> str | None:
    """Why a case of a sweep is not tried: a smaller batch of its series ran out of memory. None if none did."""
    smallest = index.batch_out_of_memory(case) if index.sampling.sweep else None
    if smallest is None or smallest >= case.batch:
        return None
    return f"not tried: batch {smallest} had run out of memory"
