from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.builders import attempt, failure, small_case
from xibench.record.schema import Attempt, Case, Rule
from xibench.run.schedule import next_slot, not_tried, round_order, settled

PLAN = [small_case(framework, batch=batch) for framework in ("pytorch", "tensorflow", "jax") for batch in (1, 2, 4)]
ORDERS = 200


def taken(
    plan: Sequence[Case],
    rule: Rule,
    attempts: Sequence[Attempt] = (),
    outcome: Callable[[Case, int, int], Attempt] | None = None,
) -> list[Attempt]:
    """All attempts of a run whose every process has the given outcome: (case, number, order) -> attempt."""
    made = list(attempts)
    while slot := next_slot(plan, rule, made, plan):
        order = len(made)
        made.append(
            outcome(slot.case, slot.number, order)
            if outcome
            else attempt(slot.case, number=slot.number, order=order)
        )
    return made


def test_a_round_holds_every_case_once_and_the_next_one_has_another_order() -> None:
    made = taken(PLAN, Rule(processes=3))
    rounds = [[a.case for a in made if a.number == number] for number in range(3)]
    assert [a.number for a in made] == [0] * 9 + [1] * 9 + [2] * 9
    assert all(set(cases) == set(PLAN) for cases in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_the_order_is_that_of_the_seed() -> None:
    def order(seed: int) -> list[tuple[str, int]]:
        plan = [msgspec.structs.replace(case, seed=seed) for case in PLAN]
        return [(case.framework, case.batch) for case in round_order(plan, Rule(), 0)]

    assert order(1) == order(1) != order(2)


def test_no_case_has_a_favourite_place_in_a_round() -> None:
    plan = PLAN[:3]
    first = [round_order(plan, Rule(), number)[0] for number in range(ORDERS)]
    assert all(ORDERS / 5 < first.count(case) < ORDERS / 2 for case in plan)


@pytest.mark.parametrize("done", [0, 1, 4, 9, 11, 26, 27])
def test_a_run_that_was_cut_off_anywhere_goes_on_in_the_same_order(done: int) -> None:
    rule = Rule(processes=3)
    whole = taken(PLAN, rule)
    assert taken(PLAN, rule, whole[:done]) == whole


def test_a_disturbed_process_is_repeated_at_the_end_of_its_round() -> None:
    def disturbed_once(case: Case, number: int, order: int) -> Attempt:
        return attempt(case, number=number, order=order, set_aside=order == 1)

    made = taken(PLAN[:3], Rule(processes=2, repeats=1), outcome=disturbed_once)
    assert [a.number for a in made] == [0, 0, 0, 0, 1, 1, 1]
    assert made[3].case == made[1].case
    assert not made[3].set_aside


def test_a_case_that_failed_is_not_started_again_in_later_rounds() -> None:
    bad = PLAN[4]

    def outcome(case: Case, number: int, order: int) -> Attempt:
        return failure(case).attempts[0] if case == bad else attempt(case, number=number, order=order)

    rule = Rule(processes=3)
    made = taken(PLAN, rule, outcome=outcome)
    assert [a.case for a in made].count(bad) == 1
    assert len(made) == 3 * 8 + 1
    assert settled(PLAN, rule, made) == 27


def test_only_the_cases_that_are_asked_for_are_taken() -> None:
    rule = Rule(processes=2)
    slots = []
    made: list[Attempt] = []
    while slot := next_slot(PLAN, rule, made, PLAN[:1]):
        slots.append(slot)
        made.append(attempt(slot.case, number=slot.number))
    assert [slot.case for slot in slots] == [PLAN[0]] * 2


def test_batches_of_a_sweep_come_smallest_first_while_their_series_are_mixed() -> None:
    order = round_order(PLAN, Rule(sweep=True), 0)
    for framework in ("pytorch", "tensorflow", "jax"):
        assert [case.batch for case in order if case.framework == framework] == [1, 2, 4]
    assert [case.framework for case in order] == [case.framework for case in round_order(PLAN, Rule(), 0)]


def test_a_larger_batch_is_not_tried_once_a_smaller_one_of_its_series_ran_out_of_memory() -> None:
    full = msgspec.structs.replace(failure(small_case("jax", batch=2)).attempts[0], status="out_of_memory")
    sweep = Rule(sweep=True)
    assert not_tried(small_case("jax", batch=4), sweep, [full]) == "not tried: batch 2 had run out of memory"
    assert not_tried(small_case("jax", batch=1), sweep, [full]) is None
    assert not_tried(small_case("pytorch", batch=4), sweep, [full]) is None
    assert not_tried(small_case("jax", batch=4), Rule(), [full]) is None
    failed = msgspec.structs.replace(full, status="failed")
    assert not_tried(small_case("jax", batch=4), sweep, [failed]) is None
