from __future__ import annotations

from collections.abc import Sequence

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
from tests.cli.rendering import rendered
from xibench.cli.render.run_tables import plan_table, run_tables
from xibench.record.schema import Case, Process, RateTrial, Record, SamplingConfig, Substitution
from xibench.record.summary import Summary, summarise


def of(*records: Record) -> list[Summary]:
    return [summarise(one, calibration()) for one in records]


def table(*records: Record, width: int = 200) -> str:
    (only,) = run_tables(of(*records), "ACME CPU")
    return rendered(only, width)


def columns(shown: str) -> str:
    """Return the heading of a table, which may be broken over several lines, as one line."""
    return " ".join(" ".join(line.split()) for line in shown.splitlines()[1:4])


def in_scenario(scenario: str) -> Case:
    return msgspec.structs.replace(small_case(), scenario=scenario)


def with_fields(one: Process, **fields: object) -> Process:
    return msgspec.structs.replace(one, **fields)


def test_axes_on_which_cases_differ_are_columns_and_the_others_are_in_the_title() -> None:
    shown = table(record(small_case(batch=1)), record(small_case(batch=2)))
    assert shown.splitlines()[0].strip() == "ACME CPU, variant narrow, recipe default, fp32, 75 px, cpu"
    assert "batch" in shown.splitlines()[2]


@pytest.mark.parametrize("width", [60, 80])
def test_nothing_is_cut_off_in_a_narrow_terminal(width: int) -> None:
    records = [record(small_case("pytorch")), record(small_case("tensorflow")), failure(small_case("jax"))]
    narrow, wide = table(*records, width=width), table(*records)
    assert max(map(len, narrow.splitlines())) <= width
    assert ink(narrow) == ink(wide)


def test_the_number_of_processes_and_the_attained_fraction_follow_the_throughput() -> None:
    shown = table(record(small_case(), (0.2, 0.2), (0.2, 0.2), (0.2, 0.2)))
    row = shown.splitlines()[-2].split()
    assert "proc. attained" in columns(shown)
    assert row[2:4] == ["5.00", "[5.00,"]
    assert row[5:10] == ["200", "6", "3", "25", "%"]  # attainable in 50 ms


def test_without_ceilings_attained_is_empty_and_not_zero() -> None:
    bare = msgspec.structs.replace(COSTS, attainable_s=None, absent={"attainable_s": "not measured"})
    without = msgspec.structs.replace(attempt(small_case()), costs=bare)
    shown = table(Record(case=small_case(), attempts=[without]))
    assert " – " in shown
    assert "0 %" not in shown


def test_energy_is_a_column_only_if_a_case_has_it() -> None:
    known = msgspec.structs.replace(ENERGY, cpu_package_joules=30.0)
    with_energy = measured(small_case(), with_fields(process(), energy=known))
    assert "J/image" not in table(record(small_case()))
    shown = table(with_energy, record(small_case("jax")))
    assert "J/image" in shown
    assert "above idle" not in shown
    assert " 10.0 " in shown


def test_marks_follow_the_status() -> None:
    instead = Substitution(wanted="inductor", why="no C++ compiler", ran="eager")
    strange = resampled(with_fields(process(), substitutions=[instead]), warmup_stopped_by="max_warmup_steps 50")
    disturbed = attempt(small_case(), disturbed=["others took 9 %"], made=strange)
    assert "ok † ‡ §" in table(Record(case=small_case(), attempts=[disturbed]))
    assert "ok" in table(record(small_case()))
    assert not set("†‡§") & set(table(record(small_case())))


def test_times_beside_a_busy_program_are_in_parentheses_and_sizes_are_not() -> None:
    case = small_case()
    taken = attempt(case, (0.2, 0.2, 0.2), disturbed=["others took 67 %"], others_share=0.67)
    both = table(Record(case=case, attempts=[taken]), record(small_case("jax"), (0.2, 0.2, 0.2)))
    row = both.splitlines()[4:6]
    assert "(5.00 [5.00, 5.00])" in row[0]
    assert "(200)" in row[0]
    assert " 250 B" in row[0]
    assert "(" not in row[1]


def test_single_stream_shows_percentiles_in_ms_or_the_number_of_queries_that_they_need() -> None:
    shown = table(record(in_scenario("single-stream"), [0.010 + 0.0001 * i for i in range(40)]))
    assert shown.startswith("ACME CPU, single-stream,")
    assert "p50" in shown
    assert "12.0 [" in shown
    assert "– (needs 368)" in shown


def test_server_shows_the_highest_rate_within_the_latency_bound() -> None:
    trial = RateTrial(rate_hz=7.25, latencies_s=[0.1], p99_s=0.1, within=True)
    shown = table(measured(in_scenario("server"), serving(process(), 0.5, 7.25, [trial])))
    assert "highest rate" in shown
    assert "7.25" in shown


def test_compile_shows_intervals_over_processes_and_no_throughput() -> None:
    compiled = [
        with_fields(process([], order=n), compile_s=seconds, absent={}) for n, seconds in enumerate((3.0, 3.1, 3.2))
    ]
    shown = table(measured(in_scenario("compile"), *compiled))
    assert "3.10 [" in shown
    assert "images/s" not in shown


def test_each_scenario_has_its_own_table() -> None:
    both = of(record(small_case()), record(in_scenario("server")))
    titles = [rendered(one).splitlines()[0] for one in run_tables(both)]
    assert len(titles) == 2
    assert titles[1].startswith("server")


@pytest.mark.parametrize(
    ("sampling", "words"),
    [(SamplingConfig(), "one process each"), (SamplingConfig(processes=3), "3 processes each, interleaved")]
)
def test_the_title_of_a_plan_has_the_number_of_processes_per_case(sampling: SamplingConfig, words: str) -> None:
    shown = rendered(plan_table([(small_case(), COSTS), (small_case("jax"), COSTS)], sampling))
    assert shown.startswith(f"2 cases, {words}")


def ink(text: str) -> Sequence[str]:
    """Return all characters but spaces and rules, sorted: they do not depend on line breaks."""
    return sorted(c for c in text if not c.isspace() and c != "─")
