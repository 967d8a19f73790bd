"""The pages of single questions: batch, latency, start-up, energy, roofline, conditions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.dashboards import examples
from tests.dashboards.reading import figures, site_of, site_of_records, text_of
from xibench.record.schema import Case, RateTrial, Record, SamplingConfig

STREAM = Case(framework="pytorch", model="xception", scenario="single-stream", batch=1)
CASE = Case(framework="pytorch", model="xception")


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [t for t in figure["data"] if t.get("name") == name]
    return found


# Batch


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site_of(tmp_path_factory.mktemp("swept"), *examples.sweep(), examples.calibration())


def test_a_sweep_marks_the_knee_and_where_memory_ran_out(swept: Path) -> None:
    throughput, memory = figures(swept / "batch.html")
    assert trace(throughput, "PyTorch default")["x"] == [1, 2, 4, 8, 16, 32, 64]
    assert trace(throughput, "knee")["x"] == [32] * 4
    assert trace(throughput, "no result")["x"] == [128, 128, 256]
    assert "resident set reached 7.2 GiB" in trace(throughput, "no result")["customdata"][0]
    assert memory["layout"]["yaxis"]["title"]["text"] == "peak host memory (MiB)"
    text = text_of(swept / "batch.html")
    assert "its knee is at batch 32. Memory ran out for PyTorch default at batch 128" in text
    assert "not tried: batch 128 had run out of memory" in text


def test_batches_that_did_not_fit_are_not_listed_as_failures(swept: Path) -> None:
    text = text_of(swept / "index.html")
    assert "Cases without a result" not in text
    assert "batch sweeps stand under Batch" in text
    for name in ("latency", "memory", "startup"):
        assert "sweep" in text_of(swept / f"{name}.html").lower()


def test_a_throughput_that_still_rises_has_no_knee(tmp_path: Path) -> None:
    cases = [Case(framework="jax", model="xception", batch=b) for b in (1, 2, 4)]
    site = site_of_records(tmp_path, *(examples.ok(case, [0.5] * 5) for case in cases))
    assert "no knee was reached" in text_of(site / "batch.html")
    assert not [t for t in figures(site / "batch.html")[0]["data"] if t["name"] == "knee"]


def test_a_run_at_one_batch_says_how_to_sweep(site: Path) -> None:
    assert "`xibench run --sweep` doubles the batch until memory runs out" in text_of(site / "batch.html")


# Latency


def test_percentiles_stand_with_their_intervals(thorough_site: Path) -> None:
    text = text_of(thorough_site / "latency.html")
    assert "p50, ms [95 %] p90, ms [95 %] p99, ms [95 %]" in text
    assert "They take queries for independent of each other and leave out the spread between processes." in text


def test_a_percentile_that_the_queries_cannot_support_says_how_many_it_would_take(tmp_path: Path) -> None:
    site = site_of_records(tmp_path, examples.ok(STREAM, [0.1] * 20))
    text = text_of(site / "latency.html")
    assert "takes 368 queries" in text
    assert "Not stated where a case has too few queries: p90 takes 36 queries; p99 takes 368 queries." in text
    notes = [a["text"].strip() for a in figures(site / "latency.html")[0]["layout"]["annotations"]]
    assert "p99: n = 20, takes 368" in notes


def test_the_server_page_shows_the_bound_the_rates_and_the_highest_one(thorough_site: Path) -> None:
    (figure,) = [
        f for f in figures(thorough_site / "latency.html") if "arrival rate" in f["layout"]["xaxis"]["title"]["text"]
    ]
    assert len(figure["layout"]["shapes"]) == 3  # a bound per framework: a multiple of its own query
    assert len(trace(figure, "highest")["x"]) == 3
    curve = next(t for t in figure["data"] if t["name"] == "PyTorch default")
    assert curve["x"] == sorted(curve["x"])
    assert set(curve["marker"]["symbol"]) == {"circle", "circle-open"}
    text = text_of(thorough_site / "latency.html")
    assert "PyTorch default serves the most" in text
    assert "Rates tried" in text


def test_a_server_that_never_keeps_its_bound_says_so(tmp_path: Path) -> None:
    case = Case(framework="pytorch", model="xception", scenario="server", batch=1)
    trial = RateTrial(rate_hz=2.0, latencies_s=[0.5] * 10, p99_s=None, within=False)
    record = examples.ok(case, [0.2] * 5, bound_s=0.1, highest_rate_hz=None, trials=[trial])
    text = text_of(site_of_records(tmp_path, record) / "latency.html")
    assert "No case of Xception kept its bound at any rate that was tried" in text
    assert "none kept it" in text
    assert "Rates with too few queries to know p99, not drawn: 1." in text


def test_a_server_that_kept_its_bound_in_a_minority_of_processes_says_so(tmp_path: Path) -> None:
    case = Case(framework="pytorch", model="xception", scenario="server", batch=1)
    record = examples.several(case, *([0.2] * 5 for _ in range(3)))
    for number, rate in enumerate((None, 5.0, None)):
        trial = RateTrial(rate_hz=5.0, latencies_s=[0.2] * 400, p99_s=0.2, within=rate is not None)
        record = examples.change(record, number, bound_s=0.3, highest_rate_hz=rate, trials=[trial])
    text = text_of(site_of_records(tmp_path, record) / "latency.html")
    assert "No case of Xception kept its bound in more than half of its processes" in text
    assert "kept in 1 of 3 processes" in text


def test_a_disturbed_process_whose_repetition_is_owed_counts(tmp_path: Path) -> None:
    record = examples.disturb(examples.ok(CASE, [0.5] * 5), 0)
    owed = msgspec.structs.replace(
        record, attempts=[msgspec.structs.replace(a, superseded=True) for a in record.attempts]
    )
    text = text_of(site_of_records(tmp_path, owed) / "settings.html")
    assert "Count: 1; disturbed, set aside and repeated: 0" in text
    assert "counts, marked" in text


def test_scenarios_that_were_not_measured_are_named_with_the_command(site: Path) -> None:
    text = text_of(site / "latency.html")
    assert "`xibench run --scenario single-stream`" in text
    assert "`xibench run --scenario server`" in text


def test_outliers_are_counted_and_kept(tmp_path: Path) -> None:
    text = text_of(site_of_records(tmp_path, examples.ok(CASE, [1.0, 1.01, 1.02, 1.03, 9.0])) / "latency.html")
    assert "Of 5 steps, 0 are mild and 1 severe outliers" in text
    assert "9,000" in text  # the most, ms


# Start-up


def test_compile_times_of_fresh_processes_stand_with_their_spread(thorough_site: Path) -> None:
    text = text_of(thorough_site / "startup.html")
    assert "Inference, compile, batch 8, fp32, CPU" in text
    assert "from one fresh process to the next, compiling and the first step vary most in" in text
    assert "Cache of compiled programs on disk: off (PyTorch, TensorFlow and JAX)." in text
    marks = [len(t["x"]) for f in figures(thorough_site / "startup.html")[-2:-1] for t in f["data"]]
    assert marks[:3] == [5, 5, 5]


def test_one_compile_is_said_to_have_no_spread(site: Path) -> None:
    assert "Compile time was taken once per case (n = 1 process)" in text_of(site / "startup.html")


# Energy


def test_energy_stands_with_and_without_idle(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 10, energy=examples.energy(CASE, [0.5] * 10, watts=40.0))
    site = site_of(tmp_path, examples.header([CASE]), [record], examples.calibration(idle_watts=12.0))
    (figure,) = figures(site / "energy.html")
    assert trace(figure, "above idle")["x"] == pytest.approx([28 * 0.5 / 8])
    assert trace(figure, "idle")["x"] == pytest.approx([12 * 0.5 / 8])
    assert "energy per image is 2.50 J (PyTorch default)" in text_of(site / "energy.html")
    assert "Processor's packages, W" in text_of(site / "energy.html")


def test_where_there_is_no_energy_the_page_says_why_by_source(site: Path) -> None:
    text = text_of(site / "energy.html")
    assert f"the cards' counter and the cards' integrated power: {examples.NO_CARD}" in text
    assert f"the processor's packages: {examples.NO_RAPL}" in text
    assert figures(site / "energy.html") == []


# Roofline


def test_the_roofline_has_the_ceilings_as_lines_and_the_cases_as_points(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 5)
    site = site_of_records(tmp_path, record)
    (figure,) = [f for f in figures(site / "costs.html") if "FLOP per byte" in f["layout"]["xaxis"]["title"]["text"]]
    roof = trace(figure, "roof")
    peak, copy = max(examples.PRODUCTS.values()), max(examples.COPIES.values())
    assert roof["x"][1] == pytest.approx(peak / copy)
    assert roof["y"][1:] == pytest.approx([peak / 1e9] * 2)
    assert trace(figure, "TensorFlow")["y"] == pytest.approx([examples.PRODUCTS["tensorflow"] / 1e9] * 2)
    point, tick = trace(figure, "PyTorch"), trace(figure, "attainable")
    costs = record.costs
    assert point["x"] == tick["x"] == pytest.approx([2 * costs.macs / costs.bytes_moved])
    assert point["y"] == pytest.approx([2 * costs.macs / 0.5 / 1e9])
    assert costs.attainable_s
    assert point["y"][0] / tick["y"][0] == pytest.approx(costs.attainable_s / 0.5)
    assert figure["layout"]["xaxis"]["range"][0] < math.log10(roof["x"][1])


def test_ceilings_stand_for_each_framework_and_precision_with_the_reason_where_there_is_none(
    thorough_site: Path,
) -> None:
    text = text_of(thorough_site / "costs.html")
    assert "PyTorch fp32 2048 × 2048 1,310 ◆ (the fastest in this precision: the roof)" in text
    assert "TensorFlow bf16 2048 × 2048 1,888" in text
    assert "JAX bf16 – no bf16 product on this CPU" in text
    assert "PyTorch 256 MiB 41.0 ◆ (the fastest: the roof's slope)" in text


def test_a_run_without_ceilings_says_so(reference_site: Path) -> None:
    assert "This run measured no ceilings: files of format 1 do not hold it" in text_of(reference_site / "costs.html")


# Conditions


def test_conditions_say_what_disturbed_what_was_repeated_and_what_was_before_and_after(tmp_path: Path) -> None:
    records = [
        examples.repeat(examples.several(CASE), 0),
        examples.disturb(examples.several(Case(framework="jax", model="xception")), 2),
    ]
    site = site_of_records(tmp_path, *records)
    text = text_of(site / "settings.html")
    assert "7 processes in the run file, 7 of them started. Count: 6; disturbed, set aside and repeated: 1" in text
    assert "Of those that count, disturbed and marked (‡): 1." in text
    assert f"0 PyTorch default, Xception fp32, batch 8, process 1 set aside, repeated {examples.BUSY}" in text
    assert f"6 JAX default, Xception fp32, batch 8, process 3 counts, marked {examples.BUSY}" in text
    assert "1.31 → 2.04" in text  # load before and after
    assert "2.60 → 2.58" in text
    assert "throttle_count this kernel has no thermal_throttle" in text
    others = trace(figures(site / "settings.html")[0], "taken by others")
    assert others["marker"]["symbol"] == ["circle-open", *["circle"] * 5, "circle-open"]


def test_a_cards_conditions_stand_before_and_after(tmp_path: Path) -> None:
    text = text_of(site_of(tmp_path, *examples.card(), examples.calibration("cuda", card_watts=35)) / "settings.html")
    assert "2 before 0 1.41 1.20 none 52 61.0 250 0" in text
    assert "2 after 0 1.10 1.20 sw_thermal_slowdown 84 61.0 250 0" in text
    assert "card 0 was throttled: sw_thermal_slowdown" in text


def test_a_run_that_was_not_disturbed_says_so(site: Path) -> None:
    assert "No process was disturbed." in text_of(site / "settings.html")


def test_a_run_whose_conditions_were_not_recorded_says_so(reference_site: Path) -> None:
    assert "Conditions were not recorded" in text_of(reference_site / "settings.html")


def test_what_was_not_tried_counts_as_not_started(tmp_path: Path) -> None:
    never = examples.attempt(CASE, None, status="unsupported", reason="not installed", surroundings=None)
    record = Record(case=CASE, attempts=[never])
    made = examples.header([CASE], sampling=SamplingConfig(processes=3))
    text = text_of(site_of(tmp_path, made, [record]) / "settings.html")
    assert "1 process in the run file, 0 of them started" in text


def test_a_null_setting_is_shown_with_its_reason(site: Path) -> None:
    assert "tf32 none: the case runs on the CPU" in text_of(site / "settings.html")


def test_device_time_stands_beside_host_time(tmp_path: Path) -> None:
    head, records = examples.card()
    steps = [0.03] * 5
    record = msgspec.structs.replace(records[0], attempts=[
        examples.attempt(head.plan[0], examples.process(head.plan[0], steps, device_steps_s=[0.028] * 5))
    ])
    text = text_of(site_of(tmp_path, head, [record]) / "latency.html")
    assert "On the device's clock, ms" in text
    assert "30.0 30.0 0 + 0 28.0" in text


def test_costs_of_variants_and_operators_are_told_at_sizes_that_they_take(tmp_path: Path) -> None:
    found = [
        Case(framework="pytorch", model="inception_v3", variant="torchvision"),
        Case(framework="pytorch", model="xception", variant="segments_4"),
        Case(framework="pytorch", model="separable", images="noise", resolution=19),
    ]
    page = site_of_records(tmp_path, *(examples.ok(case, [0.5] * 5) for case in found)) / "costs.html"
    text = text_of(page)
    assert "65.8 % of 24.0 G multiply-adds at 299 px are grouped convolutions" in text
    assert "multiply-adds at 19 px" in text
    assert "whole block at 224 px" in text, "Xception's"
    assert "Inception V3, torchvision 224 px" not in text
