from __future__ import annotations

import msgspec
import pytest

from tests.builders import (
    COSTS,
    ENERGY,
    attempt,
    calibration,
    failure,
    measured,
    process,
    record,
    resampled,
    serving,
    small_case,
)
from xibench.record.schema import Compile, Energy, Idle, Process, RateTrial, Record
from xibench.record.summary import summarise


def with_energy(**known: float) -> Process:
    """A process of 10 images in 2 s; the energy that is named is known, the rest is not."""
    energy = Energy(
        window_s=2.0, gpu_counter_joules=known.get("counter"),
        gpu_integrated_joules=known.get("integrated"), gpu_power_samples=4, cpu_package_joules=known.get("package"),
        absent={"cpu_package_joules": "RAPL is not readable"},
    )  # fmt: skip
    return resampled(msgspec.structs.replace(process(), energy=energy), images=10)


def test_throughput_is_images_per_median_step_and_its_bounds_swap() -> None:
    summary = summarise(record(small_case(batch=4), (0.1, 0.2, 0.4)))
    assert summary.step_s is not None
    assert summary.images_per_s is not None
    assert summary.images_per_s.median == pytest.approx(20)
    assert summary.images_per_s.low == pytest.approx(4 / (summary.step_s.high or 0))
    assert summary.macs_per_s == pytest.approx(300 / 0.2)


def test_several_processes_widen_the_interval_by_what_differs_between_them() -> None:
    one = summarise(record(small_case(), (0.10, 0.101, 0.099, 0.1)))
    three = summarise(record(small_case(), (0.10, 0.101, 0.099, 0.1), (0.13, 0.131, 0.129), (0.09, 0.091, 0.089)))
    assert one.step_s is not None
    assert three.step_s is not None
    assert (one.step_s.processes, three.step_s.processes) == (1, 3)
    assert (three.step_s.high or 0) - (three.step_s.low or 0) > 10 * ((one.step_s.high or 0) - (one.step_s.low or 0))


def test_the_attained_share_is_attainable_time_over_measured_time() -> None:
    assert COSTS.attainable_s is not None
    assert summarise(record(small_case(), (0.1, 0.1, 0.1))).attained == pytest.approx(COSTS.attainable_s / 0.1)


def test_without_ceilings_the_attained_share_is_null_and_says_why() -> None:
    costs = msgspec.structs.replace(COSTS, attainable_s=None, absent={"attainable_s": "no ceiling for fp64"})
    made = record(small_case())
    bare = Record(case=made.case, attempts=[msgspec.structs.replace(a, costs=costs) for a in made.attempts])
    summary = summarise(bare)
    assert (summary.attained, summary.absent["attained"]) == (None, "no ceiling for fp64")


def test_disturbed_processes_that_were_repeated_are_counted_and_left_out_of_every_figure() -> None:
    case = small_case()
    summary = summarise(Record(case=case, attempts=[
        attempt(case, (9.0, 9.0, 9.0), disturbed=["others took 60 %"], superseded=True),
        attempt(case, (0.1, 0.1, 0.1), order=1, disturbed=["steal 4 %"]),
    ]))  # fmt: skip
    assert summary.step_s is not None
    assert summary.step_s.median == pytest.approx(0.1)
    assert (summary.processes, summary.superseded, summary.disturbed) == (1, 1, ["steal 4 %"])


def test_a_disturbed_process_counts_and_is_marked_until_another_one_has_taken_its_place() -> None:
    case = small_case()
    aside = attempt(case, (0.3, 0.3, 0.3), disturbed=["others took 60 %"], superseded=True)
    failed = msgspec.structs.replace(failure(case).attempts[0], order=1)
    for attempts in ([aside], [aside, failed]):
        made = Record(case=case, attempts=attempts)
        summary = summarise(made)
        assert summary.step_s is not None
        assert summary.step_s.median == pytest.approx(0.3)
        assert (made.status, summary.processes, summary.superseded) == ("ok", 1, 0)
        assert summary.disturbed == ["others took 60 %"]
        assert summary.failed == len(attempts) - 1


def test_p99_of_few_steps_is_null_with_the_number_needed() -> None:
    p99 = summarise(record(small_case(), [0.1] * 20)).latency["p99"]
    assert (p99.value, p99.n, p99.needed) == (None, 20, 368)


def test_energy_per_image_prefers_the_cards_counter_and_takes_idle_off_the_same_sources() -> None:
    idle = msgspec.structs.replace(
        calibration(), idle=Idle(window_s=2.0, gpu_watts=5.0, cpu_package_watts=None, absent={})
    )
    summary = summarise(measured(small_case(), with_energy(counter=50.0, integrated=80.0)), idle)
    assert summary.joules_per_image == pytest.approx(5.0)
    assert summary.joules_per_image_above_idle == pytest.approx((50 - 2 * 5) / 10)


def test_energy_above_idle_is_null_where_idle_is_not_known_for_the_source() -> None:
    summary = summarise(measured(small_case(), with_energy(integrated=80.0)), calibration())
    assert summary.joules_per_image == pytest.approx(8.0)
    assert summary.joules_per_image_above_idle is None
    assert "idle" in summary.absent["joules_per_image_above_idle"]


def test_without_any_meter_energy_is_null_with_the_reasons() -> None:
    summary = summarise(record(small_case()))
    assert summary.joules_per_image is None
    for reason in ENERGY.absent.values():
        assert reason in summary.absent["joules_per_image"]


def test_a_case_that_times_no_step_has_compile_times_and_says_why_it_has_no_step() -> None:
    compiles = [
        msgspec.structs.replace(process(order=n), measured=Compile(), compile_s=s) for n, s in enumerate((1, 2, 4))
    ]
    summary = summarise(measured(msgspec.structs.replace(small_case(), scenario="compile"), *compiles))
    assert summary.step_s is None
    assert "no step" in summary.absent["step_s"]
    assert summary.compile_s is not None
    assert summary.compile_s.median == pytest.approx(2.0)
    assert summary.compile_s.processes == 3


@pytest.mark.parametrize(
    ("rates", "middle"), [((5.0, 7.0, 6.0), 6.0), ((5.0, 7.0), 5.0), ((None, 5.0, 6.0), 5.0), ((None, None, 5.0), None)]
)
def test_the_highest_rate_is_the_median_of_the_processes_those_without_any_at_0(
    rates: tuple[float | None, ...], middle: float | None
) -> None:
    trial = RateTrial(rate_hz=5.0, latencies_s=[0.1], p99_s=0.1, within=True)
    served = [
        serving(process(order=n), 0.5, hz, [trial])
        for n, hz in enumerate(rates)
    ]
    summary = summarise(measured(small_case(), *served))
    assert summary.highest_rate_hz == middle
    if middle is None:
        assert summary.absent["highest_rate_hz"].endswith("kept p99 within 0.5 s in 2 of 3 processes")


def test_settings_that_differ_between_processes_of_one_case_are_named() -> None:
    other = msgspec.structs.replace(process(order=1), settings={"threads": 1})
    assert summarise(measured(small_case(), process(), other)).settings_differ == ["threads"]


def test_a_warm_up_that_was_cut_off_is_counted() -> None:
    cut = resampled(process(order=1), warmup_stopped_by="warmup_budget_s 10.0")
    assert summarise(measured(small_case(), process(), cut)).unsteady == 1


def test_peak_memory_is_what_came_on_top_of_the_framework() -> None:
    assert summarise(record(small_case())).peak_bytes == 250


def test_a_case_on_a_card_has_the_cards_peak_memory_and_one_on_the_host_the_hosts() -> None:
    made = process()
    on_card = msgspec.structs.replace(made.memory, device_peak_allocated_bytes=70)
    cases = measured(small_case(), made), measured(small_case(), msgspec.structs.replace(made, memory=on_card))
    assert [summarise(case).peak_memory_bytes for case in cases] == [250, 70]


def test_the_first_result_comes_after_compiling_ahead_and_the_first_step() -> None:
    compiled = msgspec.structs.replace(process(), compile_s=2.0)
    found = [summarise(measured(small_case(), made)).until_first_result_s for made in (process(), compiled)]
    assert found == [pytest.approx(0.9), pytest.approx(2.9)]
    assert summarise(failure(small_case())).until_first_result_s is None


def test_a_case_without_a_measurement_has_no_figure_and_says_why() -> None:
    summary = summarise(failure(small_case(), "the worker exited"))
    assert (summary.step_s, summary.images_per_s, summary.peak_bytes) == (None, None, None)
    assert summary.absent["step_s"] == "the worker exited"


def test_why_a_figure_is_missing_stands_under_the_figures_own_name() -> None:
    made = process()
    bare = msgspec.structs.replace(
        made,
        memory=msgspec.structs.replace(made.memory, host_peak_bytes=None),
        absent={"host_peak_bytes": "cannot be reset", "device_peak_allocated_bytes": "on the CPU"},
    )
    summary = summarise(measured(small_case(), bare))
    assert (summary.peak_bytes, summary.absent["peak_bytes"]) == (None, "cannot be reset")
    assert (summary.device_peak_bytes, summary.absent["device_peak_bytes"]) == (None, "on the CPU")


def test_the_loops_own_share_of_a_step_is_known() -> None:
    assert summarise(record(small_case(), (0.001, 0.001, 0.001))).loop_overhead_share == pytest.approx(1e-7 / 0.001)


def test_a_fixed_warm_up_of_an_older_file_is_not_called_cut_off() -> None:
    older = resampled(process(), warmup_stopped_by="fixed count 2")
    assert summarise(measured(small_case(), older)).unsteady == 0
