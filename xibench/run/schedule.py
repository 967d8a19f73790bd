"""Which worker process comes next: rounds over the cases, each in a seeded random order, so that drift hits all alike.

Everything follows from the plan, the rule and the attempts so far, so that a resumed run goes on where it was.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from xibench.record.schema import Attempt, Case, Rule


@dataclass(frozen=True, slots=True)
class Slot:
    """One process that a case owes: its `number`, from 0, is also its round."""

    case: Case
    number: int


def round_order(plan: Sequence[Case], rule: Rule, number: int) -> list[Case]:
    """The cases in the order of a round: a permutation drawn from the plan's seed and the round's number.

    In a sweep the batches of one series keep their places in it, but come smallest first.
    """
    drawn = list(plan)
    random.Random(f"{plan[0].seed}/{number}").shuffle(drawn)
    if not rule.sweep:
        return drawn
    ascending = {one: sorted((c for c in plan if series(c) == one), key=_batch) for one in map(series, plan)}
    return [ascending[series(case)].pop(0) for case in drawn]


def next_slot(plan: Sequence[Case], rule: Rule, attempts: Sequence[Attempt], todo: Collection[Case]) -> Slot | None:
    """The next process of the cases in `todo`; None when they owe none.

    A round ends before the next one begins. What a disturbed process is repeated by comes at the end of its round:
    what disturbed it may have passed by then.
    """
    for number in range(rule.processes):
        waiting = [case for case in round_order(plan, rule, number) if case in todo and owes(case, number, attempts)]
        tried = {attempt.case for attempt in attempts if attempt.number == number}
        fresh = [case for case in waiting if case not in tried]
        if waiting:
            return Slot((fresh or waiting)[0], number)
    return None


def owes(case: Case, number: int, attempts: Sequence[Attempt]) -> bool:
    """Whether this process of the case is still to be taken. A case that failed once is not started again."""
    return not any(
        attempt.status != "ok" or (attempt.number == number and not attempt.set_aside)
        for attempt in attempts
        if attempt.case == case
    )


def may_repeat(case: Case, rule: Rule, attempts: Sequence[Attempt]) -> bool:
    """Whether a disturbed process of the case is set aside for another one, or kept because it was often enough."""
    return sum(attempt.set_aside for attempt in attempts if attempt.case == case) < rule.repeats


def settled(plan: Sequence[Case], rule: Rule, attempts: Sequence[Attempt]) -> int:
    """How many of the plan's processes need not be taken any more: measured, or of a case that cannot be."""
    return sum(not owes(case, number, attempts) for case in plan for number in range(rule.processes))


def not_tried(case: Case, rule: Rule, attempts: Sequence[Attempt]) -> str | None:
    """Why a case of a sweep is not tried: a smaller batch of its series ran out of memory. None if none did."""
    if not rule.sweep:
        return None
    full = [a.case.batch for a in attempts if a.status == "out_of_memory" and series(a.case) == series(case)]
    smaller = [batch for batch in full if batch < case.batch]
    return f"not tried: batch {min(smaller)} had run out of memory" if smaller else None


def series(case: Case) -> Case:
    """What the cases of a sweep have in common that differ in nothing but the batch."""
    return msgspec.structs.replace(case, batch=1)


def _batch(case: Case) -> int:
    return case.batch
