"""The pages on batch, latency, start-up, energy, roofline and conditions."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.dashboards import examples
from tests.dashboards.reading import (
    Pages,
    captions,
    charts,
    marks,
    notes_in,
    pages_of_records,
    pages_of_run,
    prose,
    rows,
    tables,
    takeaways,
)
from xibench.analysis.costs import bytes_fused
from xibench.record.schema import Case, RateTrial, Record, SamplingConfig

STREAM = Case(framework="pytorch", model="xception", scenario="single-stream", batch=1)
SERVER = Case(framework="pytorch", model="xception", scenario="server", batch=1)
CASE = Case(framework="pytorch", model="xception")


def trace(figure: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [t for t in figure["data"] if t.get("name") == name]
    return found


# Batch


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return pages_of_run(tmp_path_factory.mktemp("swept"), *examples.sweep(), examples.calibration())


def test_a_sweep_marks_the_knee_and_where_memory_ran_out(swept: Pages) -> None:
    page = swept["batch"]
    throughput, memory = charts(page)
    assert trace(throughput, "PyTorch default")["x"] == [1, 2, 4, 8, 16, 32, 64]
    assert trace(throughput, "knee")["x"] == [32] * 4
    assert trace(throughput, "no result")["x"] == [128, 128, 256]
    assert "resident set reached 7.2 GiB" in trace(throughput, "no result")["customdata"][0]
    assert memory["layout"]["yaxis"]["title"]["text"] == "peak host memory (MiB)"
    assert {mark.text for mark in marks(page) if mark.why == "knee"} == {"32"}
    assert "batch 32" in takeaways(page)[0]
    ends = rows(page, "Case", "Batch", "Status", "Reason")
    assert ("PyTorch default", "128", "out of memory", "resident set reached 7.2 GiB, the limit") in ends
    assert ("PyTorch default", "256", "out of memory", "not tried: batch 128 had run out of memory") in ends


def test_batches_that_did_not_fit_are_not_listed_as_failures(swept: Pages) -> None:
    (section,) = swept["index"].sections
    assert section.key == "elsewhere"
    (line,) = prose(swept["index"])
    assert line.endswith(": Batch.")  # the only page with a figure of these groups
    for name in ("latency", "memory", "startup"):
        assert charts(swept[name]) == []
        assert "sweep" in prose(swept[name])[0]


def test_a_throughput_that_still_rises_has_no_knee(tmp_path: Path) -> None:
    cases = [Case(framework="jax", model="xception", batch=b) for b in (1, 2, 4)]
    page = pages_of_records(tmp_path, *(examples.ok(case, [0.5] * 5) for case in cases))["batch"]
    assert not [t for t in charts(page)[0]["data"] if t["name"] == "knee"]
    assert marks(page) == []


def test_a_run_at_one_batch_says_how_to_sweep(varied: Pages) -> None:
    assert charts(varied["batch"]) == []
    assert "xibench run --sweep" in prose(varied["batch"])[0]


# Latency


def test_percentiles_are_shown_with_their_intervals(thorough: Pages) -> None:
    found = rows(thorough["latency"], "p50, ms [95 %]", "p90, ms [95 %]", "p99, ms [95 %]")
    assert found
    assert all("[" in cell for cell in found[0][:2])


def test_a_percentile_that_the_queries_cannot_support_says_how_many_it_needs(tmp_path: Path) -> None:
    page = pages_of_records(tmp_path, examples.ok(STREAM, [0.1] * 20))["latency"]
    assert rows(page, "p99, ms [95 %]") == [("needs 368 queries",)]
    assert any("p90 needs 36 queries; p99 needs 368 queries" in line for line in captions(page))
    assert "p99: n = 20, needs 368" in notes_in(charts(page)[0])


def test_the_server_page_shows_the_bound_the_rates_and_the_highest_one(thorough: Pages) -> None:
    page = thorough["latency"]
    (figure,) = [f for f in charts(page) if "arrival rate" in f["layout"]["xaxis"]["title"]["text"]]
    assert len(figure["layout"]["shapes"]) == 3  # a bound per framework: a multiple of its own query
    assert len(trace(figure, "highest")["x"]) == 3
    curve = next(t for t in figure["data"] if t["name"] == "PyTorch default")
    assert curve["x"] == sorted(curve["x"])
    assert set(curve["marker"]["symbol"]) == {"circle", "circle-open"}
    rates = {framework: float(rate) for framework, rate in rows(page, "Framework", "Highest rate, queries/s")}
    assert max(rates, key=lambda name: rates[name]) == "PyTorch"
    assert len(rows(page, "Within the bound")) == 3 * 3 * 7  # frameworks, processes, rates tried


def test_a_server_that_never_meets_its_bound_says_so(tmp_path: Path) -> None:
    trial = RateTrial(rate_hz=2.0, latencies_s=[0.5] * 10, p99_s=None, within=False)
    record = examples.ok(SERVER, [0.2] * 5, bound_s=0.1, highest_rate_hz=None, trials=[trial])
    page = pages_of_records(tmp_path, record)["latency"]
    assert rows(page, "Highest rate, queries/s", "Range over processes") == [("not met", "–")]
    assert rows(page, "p99, ms", "Within the bound") == [("too few queries", "no")]
    assert any(line.startswith("Rates with too few queries") and line.endswith(" 1.") for line in captions(page))


def test_a_server_that_met_its_bound_in_a_minority_of_processes_says_so(tmp_path: Path) -> None:
    record = examples.several(SERVER, *([0.2] * 5 for _ in range(3)))
    for number, rate in enumerate((None, 5.0, None)):
        trial = RateTrial(rate_hz=5.0, latencies_s=[0.2] * 400, p99_s=0.2, within=rate is not None)
        record = examples.change(record, number, bound_s=0.3, highest_rate_hz=rate, trials=[trial])
    page = pages_of_records(tmp_path, record)["latency"]
    assert rows(page, "Highest rate, queries/s") == [("met in 1 of 3 processes",)]
    assert [within for (within,) in rows(page, "Within the bound")] == ["no", "yes", "no"]


def test_a_disturbed_process_whose_repetition_is_pending_counts(tmp_path: Path) -> None:
    record = examples.disturb(examples.ok(CASE, [0.5] * 5), 0)
    owed = msgspec.structs.replace(
        record, attempts=[msgspec.structs.replace(a, superseded=True) for a in record.attempts]
    )
    page = pages_of_records(tmp_path, owed)["settings"]
    assert rows(page, "Order", "Outcome") == [("0", "counted, marked")]


def test_scenarios_of_single_queries_that_were_not_measured_are_named_with_the_command(
    varied: Pages, tmp_path: Path
) -> None:
    lines = prose(varied["latency"])
    for name in ("single-stream", "server"):
        assert any(f"`xibench run --scenario {name}`" in line for line in lines)
    lines = prose(pages_of_records(tmp_path, examples.ok(STREAM, [0.1] * 20))["latency"])
    assert not any("--scenario single-stream" in line for line in lines)
    assert any("--scenario server" in line for line in lines)


def test_outliers_are_counted_and_kept(tmp_path: Path) -> None:
    page = pages_of_records(tmp_path, examples.ok(CASE, [1.0, 1.01, 1.02, 1.03, 9.0]))["latency"]
    assert rows(page, "Maximum, ms", "Outliers, mild + severe") == [("9,000", "0 + 1")]


# Start-up


def test_compile_times_are_shown_with_their_spread_between_processes(thorough: Pages) -> None:
    page = thorough["startup"]
    assert "Inference, compile, batch 8, fp32, CPU" in [section.title for section in page.sections]
    assert any("cache: off (PyTorch, TensorFlow and JAX)." in line for line in captions(page))
    assert [len(t["x"]) for t in charts(page)[-2]["data"]][:3] == [5, 5, 5]


def test_a_single_compilation_has_no_spread(varied: Pages) -> None:
    assert any("n = 1 process" in line for line in prose(varied["startup"]))


# Energy


def test_energy_is_shown_with_and_without_idle_power(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 10, energy=examples.energy(CASE, [0.5] * 10, watts=40.0))
    page = pages_of_run(tmp_path, examples.header([CASE]), [record], examples.calibration(idle_watts=12.0))["energy"]
    (figure,) = charts(page)
    assert trace(figure, "above idle")["x"] == pytest.approx([28 * 0.5 / 8])
    assert trace(figure, "idle")["x"] == pytest.approx([12 * 0.5 / 8])
    assert rows(page, "J/image", "J/image above idle", "CPU packages") == [("2.50", "1.75", "2.50")]
    assert rows(page, "CPU packages, W") == [("12.0",)]


def test_missing_energy_is_explained_by_source(varied: Pages) -> None:
    (line, *_) = prose(varied["energy"])
    assert f"GPU energy counter and integrated GPU power: {examples.NO_CARD}" in line
    assert f"CPU packages: {examples.NO_RAPL}" in line
    assert charts(varied["energy"]) == []


# Roofline


def test_the_roofline_has_the_ceilings_as_lines_and_the_cases_as_points(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 5)
    page = pages_of_records(tmp_path, record)["costs"]
    (figure,) = [f for f in charts(page) if "FLOP per byte" in f["layout"]["xaxis"]["title"]["text"]]
    roof = trace(figure, "roof")
    peak, copy = max(examples.PRODUCTS.values()), max(examples.COPIES.values())
    assert roof["x"][1] == pytest.approx(peak / copy)
    assert roof["y"][1:] == pytest.approx([peak / 1e9] * 2)
    assert trace(figure, "TensorFlow")["y"] == pytest.approx([examples.PRODUCTS["tensorflow"] / 1e9] * 2)
    point, tick = trace(figure, "PyTorch"), trace(figure, "attainable")
    costs = record.costs
    fused = bytes_fused(CASE.model, CASE.variant, CASE.resolution, CASE.batch, CASE.precision)  # as attainable times
    assert point["x"] == tick["x"] == pytest.approx([2 * costs.macs / fused])
    assert point["y"] == pytest.approx([2 * costs.macs / 0.5 / 1e9])
    assert costs.attainable_s
    assert point["y"][0] / tick["y"][0] == pytest.approx(costs.attainable_s / 0.5)
    assert figure["layout"]["xaxis"]["range"][0] < math.log10(roof["x"][1])


def test_ceilings_are_listed_by_framework_and_precision_and_missing_ones_have_a_reason(
    thorough: Pages,
) -> None:
    page = thorough["costs"]
    matmuls = rows(page, "Framework", "Precision", "Size", "GFLOP/s")
    assert ("PyTorch", "fp32", "2048 × 2048", "1,310") in matmuls
    assert ("TensorFlow", "bf16", "2048 × 2048", "1,888") in matmuls
    assert ("JAX", "bf16", "–", "no bf16 product on this CPU") in matmuls
    assert ("PyTorch", "256 MiB", "41.0") in rows(page, "Framework", "Array", "GB/s")
    assert {"1,310", "41.0"} <= {mark.text for mark in marks(page)}  # the roof and its slope


def test_a_run_without_ceilings_says_so(reference: Pages) -> None:
    assert any("files of format 1 do not hold it" in line for line in prose(reference["costs"]))


# Conditions


def test_conditions_list_disturbances_repetitions_and_the_state_before_and_after(tmp_path: Path) -> None:
    records = [
        examples.repeat(examples.several(CASE), 0),
        examples.disturb(examples.several(Case(framework="jax", model="xception")), 2),
    ]
    page = pages_of_records(tmp_path, *records)["settings"]
    assert rows(page, "Order", "Case", "Conditions", "Outcome", "Disturbed by") == [
        ("0", "PyTorch default, Xception", "fp32, batch 8, process 1", "superseded", examples.BUSY),
        ("6", "JAX default, Xception", "fp32, batch 8, process 3", "counted, marked", examples.BUSY),
    ]
    processes = rows(page, "Order", "Load", "Clock, GHz")
    assert len(processes) == 7
    assert processes[0] == ("0", "1.31 → 2.04", "2.60 → 2.58")
    unavailable = rows(page, "Unavailable condition", "Reason")
    assert ("throttle_count", "this kernel has no thermal_throttle") in unavailable
    others = trace(charts(page)[0], "other programs")
    assert others["marker"]["symbol"] == ["circle-open", *["circle"] * 5, "circle-open"]


def test_the_counts_of_processes_add_up(tmp_path: Path) -> None:
    records = [
        examples.repeat(examples.several(CASE), 0),
        examples.disturb(examples.several(Case(framework="jax", model="xception")), 2),
    ]
    (line, *_) = [line for line in prose(pages_of_records(tmp_path, *records)["settings"]) if "in the run file" in line]
    assert [int(word) for word in re.findall(r"\d+", line)] == [7, 7, 6, 1, 0, 1]


def test_gpu_conditions_are_shown_before_and_after(tmp_path: Path) -> None:
    pages = pages_of_run(tmp_path, *examples.card(), examples.calibration("cuda", card_watts=35))
    (table,) = [table for table in tables(pages["settings"]) if "GPU" in table.columns]
    assert table.rows[-2:] == (
        ("2", "before", "0", "1.41", "1.20", "none", "52", "61.0", "250", "0"),
        ("2", "after", "0", "1.10", "1.20", "sw_thermal_slowdown", "84", "61.0", "250", "0"),
    )
    assert rows(pages["settings"], "Disturbed by") == [("card 0 was throttled: sw_thermal_slowdown",)]


def test_a_run_that_was_not_disturbed_says_so(varied: Pages) -> None:
    assert "No process was disturbed." in prose(varied["settings"])
    assert rows(varied["settings"], "Disturbed by") == []


def test_a_run_whose_conditions_were_not_recorded_says_so(reference: Pages) -> None:
    assert any(line.startswith("Conditions were not recorded") for line in prose(reference["settings"]))


def test_cases_that_were_not_tried_count_as_not_started(tmp_path: Path) -> None:
    never = examples.attempt(CASE, None, status="unsupported", reason="not installed", surroundings=None)
    record = Record(case=CASE, attempts=[never])
    page = pages_of_run(tmp_path, examples.header([CASE], sampling=SamplingConfig(processes=3)), [record])["settings"]
    assert any(line.startswith("1 process in the run file, 0 of them started") for line in prose(page))


def test_a_null_setting_is_shown_with_its_reason(varied: Pages) -> None:
    assert ("tf32", "none: the case runs on the CPU") in rows(varied["settings"], "Setting", "default")


def test_device_time_is_shown_next_to_host_time(tmp_path: Path) -> None:
    head, records = examples.card()
    steps = [0.03] * 5
    record = msgspec.structs.replace(records[0], attempts=[
        examples.attempt(head.plan[0], examples.process(head.plan[0], steps, device_steps_s=[0.028] * 5))
    ])
    page = pages_of_run(tmp_path, head, [record])["latency"]
    assert rows(page, "Maximum, ms", "Device time, ms") == [("30.0", "28.0")]


def test_costs_of_variants_and_operators_are_shown_at_supported_resolutions(tmp_path: Path) -> None:
    found = [
        Case(framework="pytorch", model="inception_v3", variant="torchvision"),
        Case(framework="pytorch", model="xception", variant="segments_4"),
        Case(framework="pytorch", model="separable", images="noise", resolution=19),
    ]
    page = pages_of_records(tmp_path, *(examples.ok(case, [0.5] * 5) for case in found))["costs"]
    totals = rows(page, "Network", "Input", "Bytes moved")
    sizes = [(network, size) for network, size, _ in totals]
    assert ("Inception V3, torchvision", "299 px") in sizes
    assert ("Inception V3, torchvision", "224 px") in sizes, "its auxiliary classifier limits training only"
    assert ("Xception, segments 4", "224 px") in sizes
    assert ("separable", "19 px") in sizes
    assert any("65.8\u00a0% of 24.0 G" in line and "grouped" in line for line in takeaways(page))
