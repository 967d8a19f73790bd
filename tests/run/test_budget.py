from __future__ import annotations

import msgspec
import pytest

from tests.builders import attempt, small_case
from xibench.measure.clock import FakeClock
from xibench.record.schema import SamplingConfig
from xibench.run.schedule import RunBudget

RULE = SamplingConfig(total_budget_s=100.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time_s=5000.0)


def test_the_next_process_has_an_equal_share_of_what_ceilings_and_golden_outputs_left(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    clock.advance(20.0)  # ceilings
    assert budget.share_s(pending=4) == pytest.approx(20.0)
    clock.advance(60.0)  # the golden outputs of a framework
    assert budget.share_s(pending=4) == pytest.approx(5.0)


def test_a_process_that_takes_less_or_more_than_its_share_changes_those_of_all_later_ones(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    shares = []
    for owed, taken_s in ((4, 10.0), (3, 60.0), (2, 20.0), (1, 5.0)):
        shares.append(budget.share_s(owed))
        clock.advance(taken_s)
    assert shares == [pytest.approx(share) for share in (25.0, 30.0, 15.0, 10.0)]


def test_nothing_is_left_once_the_budget_is_used_up(clock: FakeClock) -> None:
    budget = RunBudget(RULE, [], clock.now)
    clock.advance(101.0)
    assert budget.share_s(pending=1) == 0.0


def test_a_run_that_is_resumed_has_less_left_by_what_its_processes_took(clock: FakeClock) -> None:
    one = attempt(small_case())
    assert one.surroundings is not None
    slow = msgspec.structs.replace(one, surroundings=msgspec.structs.replace(one.surroundings, wall_s=40.0))
    assert RunBudget(RULE, [slow, slow], clock.now).share_s(pending=2) == pytest.approx(10.0)


def test_a_run_without_a_budget_gives_no_shares(clock: FakeClock) -> None:
    assert RunBudget(SamplingConfig(), [], clock.now).share_s(pending=3) is None
