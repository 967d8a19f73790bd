from __future__ import annotations

import msgspec
import pytest

from tests.builders import attempt, small_case
from xibench.measure.clock import FakeClock
from xibench.record.schema import SamplingConfig
from xibench.run.budget import RunBudget

RULE = SamplingConfig(total_budget_s=100.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time_s=5000.0)


def test_the_next_process_has_an_equal_share_of_what_is_left(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    clock.advance(20.0)  # ceilings
    budget.begin(owed=4)
    assert budget.left_s() == pytest.approx(20.0)


def test_a_share_runs_while_the_reference_of_its_process_is_computed(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    budget.begin(owed=4)
    clock.advance(10.0)
    assert budget.left_s() == pytest.approx(15.0)
    clock.advance(40.0)
    assert budget.left_s() == 0.0


def test_what_one_process_leaves_goes_to_the_others_and_what_it_takes_beyond_they_miss(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    shares = []
    for owed, taken_s in ((4, 10.0), (3, 60.0), (2, 20.0), (1, 5.0)):
        budget.begin(owed)
        shares.append(budget.left_s())
        clock.advance(taken_s)
    assert shares == [pytest.approx(share) for share in (25.0, 30.0, 15.0, 10.0)]


def test_nothing_is_left_once_the_budget_is_used_up(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    clock.advance(101.0)
    budget.begin(owed=1)
    assert budget.left_s() == 0.0


def test_a_run_that_is_resumed_has_less_left_by_what_its_processes_took(clock: FakeClock) -> None:
    one = attempt(small_case())
    assert one.surroundings is not None
    slow = msgspec.structs.replace(one, surroundings=msgspec.structs.replace(one.surroundings, wall_s=40.0))
    budget = RunBudget(RULE, [slow, slow], clock.now)
    budget.begin(owed=2)
    assert budget.left_s() == pytest.approx(10.0)


def test_a_run_without_a_budget_gives_no_shares(clock: FakeClock) -> None:
    budget = RunBudget(SamplingConfig(), [], clock.now)
    budget.begin(owed=3)
    assert budget.left_s() is None
