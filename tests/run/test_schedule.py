from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import attempt, failure, small_case
from xibench.record.index import AttemptIndex, series
from xibench.record.schema import Attempt, Case, SamplingConfig, Status
from xibench.run.schedule import ProcessSlot, not_tried, remaining_slots, round_order

PLAN = [small_case(framework, batch=batch) for framework in ("pytorch", "tensorflow", "jax") for batch in (1, 2, 4)]
ORDERS = 200


def taken(
    plan: Sequence[Case],
    sampling: SamplingConfig,
    attempts: Sequence[Attempt] = (),
    outcome: Callable[[Case, int, int], Attempt] | None = None,
) -> list[Attempt]:
    """All attempts of a run whose every process has the given outcome: (case, number, order) -> attempt."""
    index = AttemptIndex(plan, sampling, attempts)
    for slot in remaining_slots(index, plan):
        order = len(index.attempts)
        index.add(
            outcome(slot.case, slot.number, order)
            if outcome
            else attempt(slot.case, number=slot.number, order=order)
        )
    return index.attempts


def test_a_round_holds_every_case_once_and_the_next_one_has_another_order() -> None:
    made = taken(PLAN, SamplingConfig(processes=3))
    rounds = [[a.case for a in made if a.number == number] for number in range(3)]
    assert [a.number for a in made] == [0] * 9 + [1] * 9 + [2] * 9
    assert all(set(cases) == set(PLAN) for cases in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_the_order_is_that_of_the_seed() -> None:
    def order(seed: int) -> list[tuple[str, int]]:
        plan = [msgspec.structs.replace(case, seed=seed) for case in PLAN]
        return [(case.framework, case.batch) for case in round_order(plan, SamplingConfig(), 0)]

    assert order(1) == order(1) != order(2)


def test_no_case_has_a_favourite_place_in_a_round() -> None:
    plan = PLAN[:3]
    first = [round_order(plan, SamplingConfig(), number)[0] for number in range(ORDERS)]
    assert all(ORDERS / 5 < first.count(case) < ORDERS / 2 for case in plan)


@pytest.mark.parametrize("done", [0, 1, 4, 9, 11, 26, 27])
def test_a_run_that_was_cut_off_anywhere_goes_on_in_the_same_order(done: int) -> None:
    sampling = SamplingConfig(processes=3)
    whole = taken(PLAN, sampling)
    assert taken(PLAN, sampling, whole[:done]) == whole


def test_a_disturbed_process_is_repeated_at_the_end_of_its_round() -> None:
    def disturbed_once(case: Case, number: int, order: int) -> Attempt:
        return attempt(case, number=number, order=order, superseded=order == 1)

    made = taken(PLAN[:3], SamplingConfig(processes=2, repeats=1), outcome=disturbed_once)
    assert [a.number for a in made] == [0, 0, 0, 0, 1, 1, 1]
    assert made[3].case == made[1].case
    assert not made[3].superseded


def test_a_case_that_failed_is_not_started_again_in_later_rounds() -> None:
    bad = PLAN[4]

    def outcome(case: Case, number: int, order: int) -> Attempt:
        return failure(case).attempts[0] if case == bad else attempt(case, number=number, order=order)

    sampling = SamplingConfig(processes=3)
    made = taken(PLAN, sampling, outcome=outcome)
    assert [a.case for a in made].count(bad) == 1
    assert len(made) == 3 * 8 + 1
    assert AttemptIndex(PLAN, sampling, made).settled == 27


def test_only_the_cases_that_are_asked_for_are_taken() -> None:
    index = AttemptIndex(PLAN, SamplingConfig(processes=2))
    for slot in remaining_slots(index, PLAN[:1]):
        index.add(attempt(slot.case, number=slot.number))
    assert [made.case for made in index.attempts] == [PLAN[0]] * 2


def test_batches_of_a_sweep_come_smallest_first_while_their_series_are_mixed() -> None:
    order = round_order(PLAN, SamplingConfig(sweep=True), 0)
    for framework in ("pytorch", "tensorflow", "jax"):
        assert [case.batch for case in order if case.framework == framework] == [1, 2, 4]
    assert [case.framework for case in order] == [case.framework for case in round_order(PLAN, SamplingConfig(), 0)]


@pytest.mark.parametrize(
    ("status", "words"), [("out_of_memory", "had run out of memory"), ("timeout", "had exceeded its time limit")]
)
def test_a_larger_batch_is_not_tried_once_a_smaller_one_of_its_series_was_too_large(status: Status, words: str) -> None:
    full = msgspec.structs.replace(failure(small_case("jax", batch=2)).attempts[0], status=status)
    failed = msgspec.structs.replace(full, status="failed")

    def refused(case: Case, sampling: SamplingConfig, *attempts: Attempt) -> tuple[Status, str] | None:
        return not_tried(case, AttemptIndex(PLAN, sampling, attempts))

    sweep = SamplingConfig(sweep=True)
    assert refused(small_case("jax", batch=4), sweep, full) == (status, f"not tried: batch 2 {words}")
    assert refused(small_case("jax", batch=1), sweep, full) is None
    assert refused(small_case("pytorch", batch=4), sweep, full) is None
    assert refused(small_case("jax", batch=4), SamplingConfig(), full) is None
    assert refused(small_case("jax", batch=4), sweep, failed) is None


class StraightforwardRules:
    """The same decisions, each made anew from the whole list of attempts: the oracle that the index is held against."""

    def __init__(self, plan: Sequence[Case], sampling: SamplingConfig) -> None:
        self.plan, self.sampling = plan, sampling
        self.attempts: list[Attempt] = []

    def next_slot(self, todo: Collection[Case]) -> ProcessSlot | None:
        for number in range(self.sampling.processes):
            waiting = [case for case in self.order(number) if case in todo and self.owes(case, number)]
            tried = {a.case for a in self.attempts if a.number == number}
            fresh = [case for case in waiting if case not in tried]
            if waiting:
                return ProcessSlot((fresh or waiting)[0], number)
        return None

    def order(self, number: int) -> list[Case]:
        drawn = list(self.plan)
        random.Random(f"{self.plan[0].seed}/{number}").shuffle(drawn)
        if not self.sampling.sweep:
            return drawn
        ascending = {
            one: sorted((c for c in self.plan if series(c) == one), key=lambda c: c.batch)
            for one in map(series, self.plan)
        }
        return [ascending[series(case)].pop(0) for case in drawn]

    def owes(self, case: Case, number: int) -> bool:
        return not any(
            a.status != "ok" or (a.number == number and not a.superseded) for a in self.attempts if a.case == case
        )

    def may_repeat(self, case: Case) -> bool:
        return sum(a.superseded for a in self.attempts if a.case == case) < self.sampling.repeats

    def settled(self) -> int:
        return sum(not self.owes(case, n) for case in self.plan for n in range(self.sampling.processes))

    def not_tried(self, case: Case) -> tuple[Status, str] | None:
        words = {"out_of_memory": "had run out of memory", "timeout": "had exceeded its time limit"}
        full = [a for a in self.attempts if a.status in words and series(a.case) == series(case)]
        smaller = [(a.case.batch, a.status) for a in full if a.case.batch < case.batch]
        if not self.sampling.sweep or not smaller:
            return None
        batch, status = min(smaller)
        return status, f"not tried: batch {batch} {words[status]}"

    def pending(self) -> list[Case]:
        def is_complete(made: Sequence[Attempt]) -> bool:
            return any(a.status != "ok" for a in made) or sum(not a.superseded for a in made) >= self.sampling.processes

        return [case for case in self.plan if not is_complete([a for a in self.attempts if a.case == case])]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_decision_is_the_one_that_the_whole_list_of_attempts_gives(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 3))
    pool = [msgspec.structs.replace(case, seed=seed) for case in PLAN]
    plan = data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=9, unique=True))
    todo = data.draw(st.lists(st.sampled_from(plan), unique=True))
    sampling = SamplingConfig(
        processes=data.draw(st.integers(1, 4)), repeats=data.draw(st.integers(0, 2)), sweep=data.draw(st.booleans())
    )
    oracle, index = StraightforwardRules(plan, sampling), AttemptIndex(plan, sampling)
    slots = remaining_slots(index, todo)
    for order in range(40):
        if data.draw(st.booleans()):  # the run is killed and goes on from its file
            index = AttemptIndex(plan, sampling, oracle.attempts)
            slots = remaining_slots(index, todo)
        slot = next(slots, None)
        assert slot == oracle.next_slot(todo)
        assert index.settled == oracle.settled()
        assert index.pending() == oracle.pending()
        assert [not_tried(case, index) for case in pool] == [oracle.not_tried(case) for case in pool]
        assert [index.may_repeat(case) for case in pool] == [oracle.may_repeat(case) for case in pool]
        assert [index.state(case, 0) != "settled" for case in pool] == [oracle.owes(case, 0) for case in pool]
        if slot is None:
            break
        taken_as_scheduled = data.draw(st.integers(0, 9)) > 0  # a file may also hold what no schedule of ours asked for
        case = slot.case if taken_as_scheduled else data.draw(st.sampled_from(pool))
        number = slot.number if taken_as_scheduled else data.draw(st.integers(0, 4))
        status: Status = data.draw(st.sampled_from(["ok", "ok", "ok", "ok", "failed", "out_of_memory", "timeout"]))
        superseded = status == "ok" and data.draw(st.booleans()) and oracle.may_repeat(case)
        made = msgspec.structs.replace(attempt(case, number=number, order=order, superseded=superseded), status=status)
        oracle.attempts.append(made)
        index.add(made)


class CountingIndex(AttemptIndex):
    """Counts how often it is asked."""

    asked = 0

    def state(self, case: Case, number: int) -> Literal["untried", "disturbed", "settled"]:
        self.asked += 1
        return super().state(case, number)


def test_the_last_process_of_a_large_run_is_scheduled_with_no_more_work_than_the_first() -> None:
    plan = [small_case(batch=n + 1) for n in range(100)]
    sampling = SamplingConfig(processes=10)
    index = CountingIndex(plan, sampling)
    slots = remaining_slots(index, plan)
    questions = []
    while slot := next(slots, None):
        before = index.asked
        index.add(attempt(slot.case, number=slot.number, order=len(index.attempts)))
        next(slots, None)
        questions.append(index.asked - before)
    assert len(index.attempts) == 1000
    assert max(questions) <= len(plan) + 4  # at the end of a round its cases are passed over, once
    assert sum(questions) <= 6 * len(index.attempts)


def test_a_resumed_run_skips_the_rounds_that_are_complete_without_looking_at_their_cases() -> None:
    plan = [small_case(batch=n + 1) for n in range(100)]
    sampling = SamplingConfig(processes=10)
    whole = taken(plan, sampling)
    index = CountingIndex(plan, sampling, whole[:-1])
    assert next(remaining_slots(index, plan)) == ProcessSlot(whole[-1].case, 9)
    assert index.asked <= 2 * len(plan)
