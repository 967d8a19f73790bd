from __future__ import annotations

import pytest

from xibench.measure.clock import FakeClock, MonotonicClock
from xibench.measure.loop import Samples, measure
from xibench.measure.stopping import CountOrBudget, Limits


class Device:
    """Takes no time to be asked and `seconds` to finish: what a step returns is computed only when synchronised."""

    def __init__(self, clock: FakeClock, seconds: list[float]) -> None:
        self.clock = clock
        self.seconds = iter(seconds)
        self.steps = 0
        self.synchronised: list[int] = []

    def step(self) -> int:
        self.steps += 1
        return self.steps

    def synchronise(self, output: int) -> None:
        self.synchronised.append(output)
        self.clock.advance(next(self.seconds))


def sample(
    seconds: list[float], limits: Limits, warmup_steps: int = 0, told: list[str] | None = None
) -> tuple[Samples[int], Device]:
    clock = FakeClock()
    device = Device(clock, seconds)
    heard = [] if told is None else told
    result = measure(device.step, device.synchronise, CountOrBudget(limits), clock, warmup_steps, heard.append)
    return result, device


def test_every_step_is_synchronised_before_the_clock_is_read() -> None:
    samples, device = sample([3.0, 2.0, 1.0, 1.5], Limits(1, 2, 60), 1)
    assert (samples.first_step_s, samples.warmup_s, samples.steps_s) == (3.0, [2.0], [1.0, 1.5])
    assert device.synchronised == [1, 2, 3, 4]


def test_the_last_output_comes_back_to_be_consumed() -> None:
    samples, _ = sample([1.0] * 4, Limits(1, 2, 60), 1)
    assert samples.output == 4


def test_sampling_stops_at_the_greatest_count() -> None:
    samples, _ = sample([1.0] * 10, Limits(1, 4, 60))
    assert len(samples.steps_s) == 4
    assert samples.stopped_by == "max_steps 4"


def test_no_step_starts_after_the_budget() -> None:
    samples, _ = sample([1.0] * 20, Limits(1, 50, 2.5))
    assert len(samples.steps_s) == 3
    assert samples.stopped_by == "budget_s 2.5"


def test_the_least_count_is_taken_whatever_it_costs() -> None:
    samples, _ = sample([10.0] * 9, Limits(5, 50, 2.5), 2)
    assert len(samples.steps_s) == 5


def test_the_budget_does_not_count_first_step_and_warm_up() -> None:
    samples, _ = sample([100.0, 50.0, 50.0, *[1.0] * 20], Limits(1, 50, 2.5), 2)
    assert samples.steps_s == [1.0, 1.0, 1.0]


def test_one_step_is_timed_even_if_the_limits_ask_for_none() -> None:
    samples, _ = sample([1.0] * 3, Limits(0, 0, 0))
    assert samples.steps_s == [1.0]


def test_phases_are_told_once_each_in_order() -> None:
    told: list[str] = []
    sample([1.0] * 10, Limits(3, 3, 60), 2, told)
    assert told == ["first step", "warm-up", "timing"]


def test_a_step_that_raises_ends_the_measurement() -> None:
    def step() -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        measure(step, lambda _: None, CountOrBudget(Limits(1, 1, 1)), FakeClock(), 0, lambda _: None)


def test_a_stopping_rule_forgets_what_was_added_before_it_begins() -> None:
    rule = CountOrBudget(Limits(1, 2, 60))
    rule.add(1.0)
    rule.add(1.0)
    rule.begin(0.0)
    assert rule.finished(0.0) is None


def test_the_real_clock_goes_forward_and_says_how_fine_it_is() -> None:
    clock = MonotonicClock()
    before = clock.now()
    assert clock.now() >= before
    assert "resolution" in clock.description
