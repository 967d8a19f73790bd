from __future__ import annotations

import pytest

from tests.measure.fake_clock import FakeClock
from xibench.measure.loop import MonotonicClock, read_cost_s


def test_the_real_clock_is_monotonic_and_states_its_resolution() -> None:
    clock = MonotonicClock()
    before = clock.now()
    assert clock.now() >= before
    assert clock.name.startswith("time.perf_counter, ")
    assert clock.resolution_s is not None
    assert 0 < clock.resolution_s < 1e-3


def test_the_real_clock_never_returns_early_from_a_wait() -> None:
    clock = MonotonicClock()
    for wait_s in (0.0001, 0.002):
        moment = clock.now() + wait_s
        clock.wait_until(moment)
        assert clock.now() >= moment


def test_waiting_for_a_past_moment_takes_no_time() -> None:
    clock = FakeClock(5.0)
    clock.wait_until(3.0)
    assert clock.now() == 5.0
    clock.wait_until(7.5)
    assert clock.now() == 7.5


def test_the_cost_of_a_reading_is_the_duration_of_one_reading() -> None:
    assert read_cost_s(FakeClock(read_s=3e-7)) == pytest.approx(3e-7)


def test_the_cost_of_reading_the_real_clock_is_positive_and_less_than_the_time_of_all_readings() -> None:
    clock = MonotonicClock()
    began = clock.now()
    assert 0 < read_cost_s(clock) <= clock.now() - began
