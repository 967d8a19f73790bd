from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.measure.fake_clock import FakeClock
from xibench.measure.loop import Samples, measure, overhead_s
from xibench.measure.phase import Phase
from xibench.measure.stopping import Limits, TimedSteps, Warmup, WarmupLimits


class Device:
    """Takes no time to be asked and `seconds` to finish: what a step returns is computed only when synchronised."""

    def __init__(self, clock: FakeClock, seconds: list[float]) -> None:
        self.clock = clock
        self.seconds = iter(seconds)
        self.numbers: list[int] = []
        self.synchronised: list[int] = []

    def step(self, number: int) -> int:
        self.numbers.append(number)
        return 10 + number

    def synchronise(self, output: int) -> None:
        self.synchronised.append(output)
        self.clock.advance(next(self.seconds))


def sample(
    seconds: list[float],
    limits: Limits,
    warmup_steps: int = 0,
    phases: list[Phase] | None = None,
    device_time: Callable[[], float | None] | None = None,
) -> tuple[Samples[int], Device]:
    clock = FakeClock()
    device = Device(clock, seconds)
    heard = [] if phases is None else phases
    warmup = Warmup(WarmupLimits(warmup_steps, warmup_steps, 60))
    result = measure(device.step, device.synchronise, warmup, TimedSteps(limits), clock, heard.append, device_time)
    return result, device


def test_every_step_is_synchronised_before_the_clock_is_read() -> None:
    samples, device = sample([3.0, 2.0, 1.0, 1.5], Limits(1, 2, 60), 1)
    assert (samples.first_step_s, samples.warmup_s, samples.steps_s) == (3.0, [2.0], [1.0, 1.5])
    assert device.synchronised == [10, 11, 12, 13]


def test_steps_are_numbered_on_through_warm_up_and_timing_so_that_inputs_rotate() -> None:
    _, device = sample([1.0] * 6, Limits(1, 3, 60), 2)
    assert device.numbers == [0, 1, 2, 3, 4, 5]


def test_the_last_output_comes_back_to_be_consumed() -> None:
    samples, _ = sample([1.0] * 4, Limits(1, 2, 60), 1)
    assert samples.output == 13


def test_the_budget_does_not_count_first_step_and_warm_up() -> None:
    samples, _ = sample([100.0, 50.0, 50.0, *[1.0] * 20], Limits(1, 50, 2.5), 2)
    assert samples.steps_s == [1.0, 1.0, 1.0]


def test_one_step_is_timed_even_if_the_limits_ask_for_none() -> None:
    samples, _ = sample([1.0] * 3, Limits(0, 0, 0))
    assert samples.steps_s == [1.0]


def test_phases_are_reported_once_each_in_order_and_the_end_after_the_last_step() -> None:
    phases: list[Phase] = []
    samples, _ = sample([1.0] * 10, Limits(3, 3, 60), 2, phases)
    assert phases == [Phase.FIRST_STEP, Phase.WARM_UP, Phase.TIMING, Phase.DONE]
    assert len(samples.steps_s) == 3


def test_warm_up_goes_on_while_steps_get_faster_and_every_discarded_step_is_kept() -> None:
    clock = FakeClock()
    falling = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    device = Device(clock, [30.0, *falling, *[1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.02, 0.98] * 4])
    warmup = Warmup(WarmupLimits(2, 50, 600))
    samples = measure(device.step, device.synchronise, warmup, TimedSteps(Limits(3, 3, 60)), clock, lambda _: None)
    assert samples.warmup_stopped_by == "no trend"
    assert samples.warmup_s[: len(falling)] == falling
    assert max(samples.steps_s) < 2


def test_the_record_hears_which_limit_cut_the_warm_up_off() -> None:
    samples, _ = sample([1.0] * 9, Limits(1, 1, 60), 4)
    assert samples.warmup_stopped_by == "max_warmup_steps 4"


def test_the_devices_own_time_is_a_second_series_of_the_timed_steps_only() -> None:
    own = iter([0.25, 0.5])
    samples, _ = sample([9.0, 9.0, 1.0, 1.5], Limits(1, 2, 60), 1, device_time=lambda: next(own))
    assert samples.device_steps_s == [0.25, 0.5]
    assert samples.steps_s == [1.0, 1.5]


def test_a_device_time_that_is_missing_once_is_missing() -> None:
    own = iter([0.25, None])
    samples, _ = sample([9.0, 1.0, 1.5], Limits(1, 2, 60), device_time=lambda: next(own))
    assert samples.device_steps_s is None
    assert sample([1.0] * 3, Limits(1, 2, 60))[0].device_steps_s is None


def test_what_the_rule_costs_is_not_in_a_steps_time() -> None:
    clock = FakeClock()
    device = Device(clock, [1.0] * 9)

    class Slow(Warmup):
        def add(self, step_s: float) -> None:
            super().add(step_s)
            clock.advance(1000.0)

    warmup = Slow(WarmupLimits(2, 2, 1e9))
    samples = measure(device.step, device.synchronise, warmup, TimedSteps(Limits(2, 2, 60)), clock, lambda _: None)
    assert samples.warmup_s == [1.0, 1.0]


def test_a_step_that_raises_ends_the_measurement() -> None:
    def step(number: int) -> None:
        raise MemoryError("no room")

    warmup = Warmup(WarmupLimits(0, 0, 1))
    with pytest.raises(MemoryError, match="no room"):
        measure(step, lambda _: None, warmup, TimedSteps(Limits(1, 1, 1)), FakeClock(), lambda _: None)


def test_the_loops_overhead_is_what_an_empty_step_and_its_synchronisation_take() -> None:
    clock = FakeClock(read_s=2e-7)
    assert overhead_s(clock, lambda _: clock.advance(5e-6), "finished") == pytest.approx(5.2e-6)
