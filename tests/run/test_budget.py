from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests import builders
from tests.builders import header, small_case
from tests.measure.fake_clock import FakeClock
from tests.run.conftest import Listener, Quiet, StandIn
from xibench.record.schema import Attempt, Case, SamplingConfig
from xibench.record.store import RunFile, read
from xibench.run import estimate
from xibench.run.estimate import process_s
from xibench.run.execute import run
from xibench.run.schedule import CallBudget, RunBudget


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(time_s=5000.0)


def attempt(case: Case, wall_s: float) -> Attempt:
    made = builders.attempt(case)
    assert made.surroundings is not None
    return msgspec.structs.replace(made, surroundings=msgspec.structs.replace(made.surroundings, wall_s=wall_s))


def test_the_next_process_has_an_equal_share_of_what_ceilings_and_golden_outputs_left(clock: FakeClock) -> None:
    budget = RunBudget(100.0, [], clock.now)
    clock.advance(20.0)  # ceilings
    assert budget.share_s(pending=4) == pytest.approx(20.0)
    clock.advance(60.0)  # the golden outputs of a framework
    assert budget.share_s(pending=4) == pytest.approx(5.0)


def test_a_process_that_takes_less_or_more_than_its_share_changes_those_of_all_later_ones(clock: FakeClock) -> None:
    budget = RunBudget(100.0, [], clock.now)
    shares = []
    for owed, taken_s in ((4, 10.0), (3, 60.0), (2, 20.0), (1, 5.0)):
        shares.append(budget.share_s(owed))
        clock.advance(taken_s)
    assert shares == [pytest.approx(share) for share in (25.0, 30.0, 15.0, 10.0)]


def test_nothing_is_left_once_the_budget_is_used_up(clock: FakeClock) -> None:
    budget = RunBudget(100.0, [], clock.now)
    clock.advance(101.0)
    assert budget.share_s(pending=1) == 0.0


def test_a_run_that_is_resumed_has_less_left_by_what_its_processes_took(clock: FakeClock) -> None:
    slow = attempt(small_case(), wall_s=40.0)
    assert RunBudget(100.0, [slow, slow], clock.now).share_s(pending=2) == pytest.approx(10.0)


def budgeted(seconds: float, clock: FakeClock, *attempts: Attempt) -> CallBudget:
    return CallBudget(seconds, SamplingConfig(), attempts, 2, clock.now)


def test_a_call_starts_no_process_that_would_not_end_in_time(clock: FakeClock) -> None:
    slow, fast = small_case(batch=8), small_case(batch=1)
    call = budgeted(100.0, clock, attempt(slow, wall_s=60.0), attempt(slow, wall_s=30.0), attempt(fast, wall_s=10.0))
    assert [call.fits(slow), call.fits(fast)] == [True, True]
    clock.advance(45.0)
    assert [call.fits(slow), call.fits(fast)] == [False, True]
    clock.advance(46.0)
    assert not call.fits(fast)
    clock.advance(100.0)
    assert call.left_s() == 0


def test_the_time_of_a_case_is_estimated_until_it_has_been_measured(clock: FakeClock) -> None:
    case = small_case()
    expected_s = process_s(case, SamplingConfig(), 2)
    assert budgeted(expected_s + 1, clock).fits(case)
    assert not budgeted(expected_s - 1, clock).fits(case)
    call = budgeted(expected_s + 1, clock)
    call.ended(attempt(case, wall_s=expected_s + 5))
    assert not call.fits(case)


def test_what_a_call_leaves_is_measured_by_the_next_one(
    tmp_path: Path, listener: Listener, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "START_S", 0.1)
    plan, path = [small_case(batch=batch) for batch in (1, 2)], tmp_path / "run.jsonl"
    kept = []
    for budget_s, behaviour in ((0.0, "ok,ok"), (3.0, "hang,hang"), (None, "ok,ok")):
        opened = RunFile.resume(path) if path.exists() else RunFile.create(path, header(plan, SamplingConfig()))
        with opened as run_file:
            run(
                run_file.index.pending(), run_file, listener, worker=stand_in(behaviour), calibrate=False,
                conditions=Quiet(), budget_s=budget_s,
            )  # fmt: skip
        kept.append([one.status for one in read(path).attempts])
    assert kept == [[], [], ["ok", "ok"]], "a process that the end of the budget stopped is still pending"
