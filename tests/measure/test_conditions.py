from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.measure.fake_clock import FakeClock
from tests.measure.kernel import Kernel
from xibench.measure import nvml
from xibench.measure.conditions import ConditionSampler, During, read
from xibench.measure.machine import Machine
from xibench.measure.nvml import Monitor
from xibench.record import schema

Program = Callable[[str], Any]

pytestmark = pytest.mark.skipif(nvml.count() > 0, reason="these tests require a machine without an NVIDIA GPU")


class EventfulClock(FakeClock):
    """A clock that calls a function during each wait."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__(100.0)
        self._happens = happens

    def wait_until(self, moment_s: float) -> None:
        super().wait_until(moment_s)
        self._happens()


def watched(kernel: Kernel, clock: FakeClock) -> ConditionSampler:
    return ConditionSampler(Monitor(), clock, kernel.machine)


def test_conditions_during_a_process_have_the_fields_of_the_record() -> None:
    assert set(During.__struct_fields__) <= set(schema.Surroundings.__struct_fields__)


def test_shares_are_of_the_usable_cores_time_over_the_window(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    clock = EventfulClock(lambda: kernel.time(busy_s=0.5, stolen_s=0.1, own_s=0.1))
    conditions = read(0.5, Monitor(), clock, kernel.machine)
    assert conditions.others_share == pytest.approx(0.4)  # 0.5 - 0.1 of 2 cores x 0.5 s
    assert conditions.steal_share == pytest.approx(0.1)


def test_conditions_are_complete_or_have_a_reason(tmp_path: Path) -> None:
    conditions = read(0.2, Monitor(), FakeClock(), Kernel(tmp_path).machine)
    assert (conditions.load_1m, conditions.cpu_hz, conditions.others_share) == (1.25, 2.7e9, 0.0)
    assert (conditions.governor, conditions.throttle_count, conditions.gpus) == (None, None, [])
    assert conditions.absent.keys() == {"governor", "throttle_count", "gpus"}
    assert "no NVIDIA device" in conditions.absent["gpus"]


def test_shares_over_a_window_of_a_few_ticks_are_unknown(tmp_path: Path) -> None:
    conditions = read(0.02, Monitor(), FakeClock(), Kernel(tmp_path).machine)
    assert (conditions.others_share, conditions.steal_share) == (None, None)
    assert "it takes ten" in conditions.absent["steal_share"]


def test_without_proc_everything_is_unknown_and_nothing_is_raised(tmp_path: Path) -> None:
    conditions = read(0.2, Monitor(), FakeClock(), Machine(tmp_path, tmp_path, (0,)))
    assert conditions.absent.keys() == {
        "others_share", "steal_share", "load_1m", "cpu_hz", "governor", "throttle_count", "gpus",
    }  # fmt: skip


def test_the_share_of_others_excludes_the_runs_own_time(tmp_path: Path) -> None:
    kernel, clock = Kernel(tmp_path), FakeClock(5.0)
    watch = watched(kernel, clock)
    clock.advance(10.0)
    kernel.time(busy_s=18.0, stolen_s=1.0, own_s=15.0)
    during = watch.end()
    assert during.wall_s == 10.0
    assert during.others_share == pytest.approx(0.15)
    assert during.steal_share == pytest.approx(0.05)


def test_rounding_of_ticks_gives_no_negative_share(tmp_path: Path) -> None:
    kernel, clock = Kernel(tmp_path), FakeClock()
    watch = watched(kernel, clock)
    clock.advance(10.0)
    kernel.time(busy_s=15.0, own_s=15.1)
    assert watch.end().others_share == 0.0


def test_the_clock_rate_during_a_process_is_the_median_of_its_samples(tmp_path: Path) -> None:
    kernel, clock = Kernel(tmp_path), FakeClock()
    watch = watched(kernel, clock)
    for hz in (3.0e9, 1.0e9, 3.2e9):
        kernel.cpufreq(hz)
        watch.sample()
    assert watch.end().cpu_hz == 3.0e9


def test_a_process_without_samples_has_no_clock_rate_and_a_reason(tmp_path: Path) -> None:
    during = watched(Kernel(tmp_path), FakeClock()).end()
    assert during.cpu_hz is None
    assert during.absent["cpu_hz"] == "it was not read while the process ran"


CARDS = """
import msgspec
from xibench.measure.conditions import ConditionSampler, read
clock = FakeClock()
def show(value):
    print(json.dumps(msgspec.to_builtins(value)))
"""


def test_the_conditions_of_a_gpu_are_those_that_it_reports(with_cards: Program) -> None:
    program = "cards(whole | {'processes': 1, 'pid0': 77})\nwith Monitor() as m: show(read(0, m, clock))"
    (gpu,) = with_cards(CARDS + program)["gpus"]
    assert gpu == {
        "index": 0, "sm_clock_hz": 1.98e9, "memory_clock_hz": 2.619e9, "throttle_reasons": [],
        "temperature_celsius": 41.0, "power_watts": 120.0, "power_limit_watts": 700.0, "foreign_processes": 1,
        "absent": {},
    }  # fmt: skip


def test_during_a_process_a_gpu_has_median_clocks_its_highest_temperature_and_every_reason(
    with_cards: Program,
) -> None:
    program = """
with Monitor() as m:
    cards(whole)
    m = Monitor()
    watch = ConditionSampler(m, clock)
    for mhz, celsius, bits in ((1900, 60, 0), (1200, 88, 0x20), (1800, 70, 0x4)):
        cards(whole | {"sm_mhz": mhz, "celsius": celsius, "reasons": bits})
        watch.sample()
    show(watch.end())
"""
    (gpu,) = with_cards(CARDS + program)["gpus"]
    assert (gpu["sm_clock_hz"], gpu["temperature_celsius"]) == (1.8e9, 88.0)
    assert gpu["throttle_reasons"] == ["SwThermalSlowdown", "SwPowerCap"]


def test_a_gpu_that_is_lost_while_a_process_runs_keeps_its_earlier_readings(with_cards: Program) -> None:
    program = """
cards(whole)
with Monitor() as m:
    watch = ConditionSampler(m, clock)
    watch.sample()
    cards({"lost": 1})
    watch.sample()
    print(json.dumps([msgspec.to_builtins(watch.end()), msgspec.to_builtins(read(0, m, clock))]))
"""
    during, after = with_cards(CARDS + program)
    assert during["gpus"][0]["sm_clock_hz"] == 1.98e9
    assert after["gpus"][0]["sm_clock_hz"] is None
    assert after["gpus"][0]["absent"]["sm_clock_hz"] == "NVML: GPU is lost"
