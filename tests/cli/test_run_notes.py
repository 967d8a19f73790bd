from __future__ import annotations

from collections.abc import Sequence

import msgspec

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
    run_of,
    serving,
    small_case,
)
from xibench.cli.render.run_tables import run_notes
from xibench.record.schema import Case, RateTrial, Record
from xibench.record.summary import summarise


def notes(*records: Record, calibrated: bool = True) -> list[str]:
    run = run_of(*records, calibrations=[calibration()] if calibrated else [])
    return run_notes(run, [summarise(one, run.calibration) for one in records])


def the_one(found: Sequence[str], beginning: str) -> str:
    (note,) = [note for note in found if note.startswith(beginning)]
    return note


def in_scenario(scenario: str) -> Case:
    return msgspec.structs.replace(small_case(), scenario=scenario)


def test_the_definition_of_an_interval_depends_on_the_number_of_processes() -> None:
    assert "do not include the variation between processes" in the_one(notes(record(small_case())), "Intervals: 95 %")
    several = the_one(notes(record(small_case(), (0.1, 0.2), (0.1, 0.2))), "Intervals of several processes")
    assert "resampling processes" in several


def test_the_ceilings_of_the_run_follow_the_definition_of_attained() -> None:
    found = notes(record(small_case()))
    assert the_one(found, "attained:")
    assert "matmul 12.0 GFLOP/s fp32, matmul 6.00 GFLOP/s bf16, copy 1.00 GB/s" in the_one(found, "Ceilings")


def test_the_reason_for_an_empty_column_is_noted() -> None:
    bare = msgspec.structs.replace(COSTS, attainable_s=None, absent={"attainable_s": "no ceilings were asked for"})
    case = small_case()
    found = notes(Record(case=case, attempts=[msgspec.structs.replace(attempt(case), costs=bare)]), calibrated=False)
    assert "no ceilings were asked for" in the_one(found, "attained is empty")
    assert "RAPL is not readable" in the_one(found, "J/image is empty")


def test_measured_energy_is_not_noted_as_empty() -> None:
    known = msgspec.structs.replace(ENERGY, cpu_package_joules=30.0)
    found = notes(measured(small_case(), msgspec.structs.replace(process(), energy=known)))
    assert not [note for note in found if note.startswith("J/image is empty")]
    assert the_one(found, "J/image above idle is empty")


def test_a_disturbance_is_noted_with_its_figures_and_its_case() -> None:
    disturbed = attempt(small_case(), disturbed=["others took 9.0% of the usable cores' time (limit 5.0%)"])
    found = notes(Record(case=small_case(), attempts=[disturbed]))
    note = the_one(found, "‡ disturbed: others took 9.0%")
    assert note.endswith("(limit 5.0%) (pytorch xception/narrow default fp32 batch 1 75 px cpu)")


def test_only_the_first_disturbed_cases_are_listed() -> None:
    cases = [small_case(batch=batch) for batch in range(1, 9)]
    found = notes(*(Record(case=c, attempts=[attempt(c, disturbed=[f"others took {c.batch} %"])]) for c in cases))
    assert len([note for note in found if note.startswith("‡")]) == 6
    assert the_one(found, "‡ disturbed: 3 cases more")


def test_the_reason_for_the_missing_compile_time_of_an_eager_framework_is_noted() -> None:
    found = notes(measured(in_scenario("compile"), process([])))
    assert "nothing is compiled" in the_one(found, "compile is empty")
    assert not [note for note in found if note.startswith("J/image")]


def test_repeated_processes_are_counted() -> None:
    case = small_case()
    first = attempt(case, disturbed=["others took 9 %"], superseded=True)
    found = notes(Record(case=case, attempts=[first, attempt(case, order=1)]))
    assert "1 process was disturbed and repeated" in the_one(found, "1 process")
    assert not [note for note in found if note.startswith("‡")]


def test_a_warm_up_that_ended_at_a_limit_is_noted() -> None:
    unsteady = resampled(process(), warmup_stopped_by="warmup_budget_s 10.0")
    assert "in 1 process" in the_one(notes(measured(small_case(), unsteady)), "§ warm-up ended at a limit")


def test_outliers_are_counted_and_included() -> None:
    steps = [*(0.1 + 0.001 * i for i in range(20)), 0.5]
    assert the_one(notes(record(small_case(), steps)), "Outliers") == (
        "Outliers: 0 mild and 1 severe among 21 steps; all figures include them."
    )


def test_settings_that_differ_between_processes_of_one_case_are_named() -> None:
    other = msgspec.structs.replace(process(order=1), settings={"threads": 1})
    assert "threads" in the_one(notes(measured(small_case(), process(), other)), "Settings that differ")


def test_the_latency_bound_of_a_server_case_is_noted() -> None:
    trial = RateTrial(rate_hz=1.0, latencies_s=[0.1], p99_s=None, within=False)
    served = serving(process(), 0.25, None, [trial])
    found = notes(measured(in_scenario("server"), served))
    assert "within 250 ms" in the_one(found, "Highest rate of queries")
    assert "kept p99 within 0.25 s" in the_one(found, "highest rate is empty")
    other = serving(process(), 0.3, None, [trial])
    found = notes(measured(in_scenario("server"), served, other))
    assert "within 250 ms to 300 ms, by process" in the_one(found, "Highest rate of queries")


def test_a_percentile_without_enough_queries_is_explained() -> None:
    assert the_one(notes(record(in_scenario("single-stream"))), "A percentile is empty")


def test_the_knee_of_a_sweep_and_the_batch_that_ran_out_of_memory_are_noted() -> None:
    measured_batches = [record(small_case(batch=b), [s] * 3) for b, s in ((1, 0.1), (2, 0.11), (4, 0.2), (8, 0.41))]
    full = failure(small_case(batch=16))
    ended = msgspec.structs.replace(full.attempts[0], status="out_of_memory", reason="9 GiB above the limit of 8 GiB")
    found = notes(*measured_batches, Record(case=full.case, attempts=[ended]))
    assert the_one(found, "Sweep") == (
        "Sweep: knee at batch 4, the smallest with 95 % of the highest throughput (batch 4); "
        "memory ran out at batch 16 (pytorch xception/narrow default fp32 75 px cpu)"
    )


def test_equal_notes_are_merged_with_the_names_of_their_cases() -> None:
    cases = [failure(small_case(batch=batch), reason="no room") for batch in (1, 2, 3, 4, 5)]
    assert the_one(notes(*cases), "failed") == "failed: no room (every case)"
    some = the_one(notes(*cases, record(small_case(batch=6))), "failed")
    assert some.startswith("failed: no room (pytorch xception/narrow")
    assert some.endswith("and 2 more)")


def test_the_intervals_of_percentiles_are_not_said_to_resample_processes() -> None:
    queries = [0.010 + 0.0001 * i for i in range(40)]
    found = notes(record(in_scenario("single-stream"), queries, queries))
    assert "order statistics" in the_one(found, "Latency:")
    assert not [note for note in found if "resampling processes" in note]


def test_figures_in_parentheses_are_noted_with_the_share_that_others_took() -> None:
    case = small_case()
    found = notes(Record(case=case, attempts=[attempt(case, disturbed=["others took 67 %"], others_share=0.67)]))
    assert "67 %: pytorch xception/narrow" in the_one(found, "( ) in parentheses")
    assert not [note for note in notes(record(case)) if note.startswith("( )")]


def test_a_sweep_with_a_single_figure_is_not_said_to_rise() -> None:
    cases = [small_case(batch=batch) for batch in (1, 2, 4)]
    found = notes(record(cases[0]), *(failure(case) for case in cases[1:]))
    assert "batch 1 is the only one with a figure" in the_one(found, "Sweep:")
