from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from xibench.measure.conditions import (
    Conditions,
    ConditionSampler,
    DisturbanceLimits,
    During,
    GpuConditions,
    disturbances,
)
from xibench.measure.loop import MonotonicClock
from xibench.measure.nvml import Monitor

CARD = GpuConditions(
    index=0, sm_clock_hz=1.9e9, memory_clock_hz=2.6e9, throttle_reasons=[], temperature_celsius=60.0, power_watts=500.0,
    power_limit_watts=700.0, foreign_processes=0, absent={},
)  # fmt: skip
QUIET = Conditions(
    taken_utc="2026-11-22T12:00:00.000+00:00", load_1m=0.1, others_share=0.0, steal_share=0.0, cpu_hz=3e9,
    governor="performance", throttle_count=7, gpus=[CARD], absent={},
)  # fmt: skip
CALM = During(wall_s=10.0, others_share=0.01, steal_share=0.0, cpu_hz=3e9, gpus=[CARD], absent={})
USUAL = [CALM] * 4


def found(
    before: Conditions = QUIET, after: Conditions = QUIET, during: During = CALM, earlier: Sequence[During] = USUAL
) -> list[str]:
    return disturbances(before, after, during, earlier)


def test_a_quiet_process_is_not_disturbed() -> None:
    assert found() == []


def test_load_of_other_programs_disturbs_and_the_phrase_has_figure_and_limit() -> None:
    phrase = "others took 34.0% of the usable cores' time (limit 5.0%)"
    assert found(during=replace(CALM, others_share=0.34)) == [phrase]
    assert found(during=replace(CALM, others_share=0.05)) == []


def test_stolen_time_disturbs() -> None:
    phrase = "the hypervisor took 3.1% of the usable cores' time (limit 2.0%)"
    assert found(during=replace(CALM, steal_share=0.031)) == [phrase]


def test_thermal_events_between_before_and_after_disturb() -> None:
    assert found(after=replace(QUIET, throttle_count=10)) == ["the processor was throttled for heat 3 times (limit 0)"]


def test_a_clock_rate_is_compared_with_the_run_and_not_with_a_data_sheet() -> None:
    slow = replace(CALM, cpu_hz=2.6e9)
    phrase = "the processor's clock was 2600 MHz, 86.7% of the run's median 3000 MHz (limit 90.0%)"
    assert found(during=slow) == [phrase]
    assert found(during=slow, earlier=[replace(CALM, cpu_hz=2.6e9)] * 4) == []


def test_a_clock_rate_is_not_judged_before_the_run_has_enough_of_them() -> None:
    slow = replace(CALM, cpu_hz=1e9)
    assert found(during=slow, earlier=USUAL[:1]) == []
    assert len(found(during=slow, earlier=USUAL[:2])) == 1


def test_a_slow_gpu_clock_disturbs() -> None:
    slow = replace(CALM, gpus=[replace(CARD, sm_clock_hz=1.2e9)])
    assert found(during=slow) == ["card 0: its SM clock was 1200 MHz, 63.2% of the run's median 1900 MHz (limit 90.0%)"]


def test_throttling_for_heat_or_power_disturbs_and_requested_clock_rates_do_not() -> None:
    hot = replace(CARD, throttle_reasons=["ApplicationsClocksSetting", "SwPowerCap", "HwThermalSlowdown"])
    phrase = "card 0: throttled by 2 of NVML's reasons, SwPowerCap, HwThermalSlowdown (limit 0)"
    assert found(during=replace(CALM, gpus=[hot])) == [phrase]
    asked = replace(CARD, throttle_reasons=["ApplicationsClocksSetting", "SyncBoost"])
    assert found(during=replace(CALM, gpus=[asked])) == []


def test_a_foreign_process_on_a_gpu_before_or_after_disturbs() -> None:
    shared = replace(QUIET, gpus=[replace(CARD, foreign_processes=2)])
    assert found(before=shared) == ["card 0: 2 processes of others on it before (limit 0)"]
    assert found(after=replace(QUIET, gpus=[replace(CARD, foreign_processes=1)])) == [
        "card 0: 1 process of others on it after (limit 0)"
    ]


def test_a_gpu_that_no_longer_answers_disturbs() -> None:
    lost = GpuConditions(0, None, None, None, None, None, None, None, {"sm_clock_hz": "NVML: GPU is lost"})
    phrase = "card 0: answers before and not after, NVML: GPU is lost (limit: answers both times)"
    assert found(after=replace(QUIET, gpus=[lost])) == [phrase]


def test_several_disturbances_are_all_reported() -> None:
    assert len(found(after=replace(QUIET, throttle_count=8), during=replace(CALM, others_share=0.5, cpu_hz=1e9))) == 3


def test_unknown_conditions_do_not_count_as_disturbances() -> None:
    unknown = Conditions("2026-11-22T12:00:00.000+00:00", None, None, None, None, None, None, [], {})
    assert found(unknown, unknown, During(1.0, None, None, None, [], {})) == []


def test_limits_can_be_set() -> None:
    busy = replace(CALM, others_share=0.3)
    assert disturbances(QUIET, QUIET, busy, USUAL, DisturbanceLimits(others_share=0.4)) == []


def test_a_busy_process_of_another_program_is_detected_on_this_machine(tmp_path: Path) -> None:
    """The process outlives the shell that started it, so that it is not a descendant of this one."""
    pid_file = tmp_path / "pid"
    busy = f"{sys.executable} -c 'while True: pass' & echo $! > {pid_file}"
    with Monitor() as monitor:
        watch = ConditionSampler(monitor, MonotonicClock())
        subprocess.run(["/bin/sh", "-c", busy], check=True)
        try:
            time.sleep(1.0)
            during = watch.end()
        finally:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    if during.others_share is None:
        pytest.skip(during.absent["others_share"])
    (phrase, *_) = disturbances(QUIET, QUIET, during, [])
    assert phrase.startswith("others took ")
