from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from xibench.errors import StoreError
from xibench.record import pair_store
from xibench.record.pairs import PAIRS_VERSION
from xibench.record.schema import FORMAT_VERSION, Compile, Queries, Server, Steps
from xibench.record.store import RunFile, read

CASE = {
    "framework": "jax", "model": "xception", "variant": "narrow", "task": "infer", "scenario": "offline",
    "recipe": "default", "precision": "fp32", "batch": 4, "resolution": 75, "device": "cpu", "weights": "seed:0",
    "images": "noise", "seed": 0,
}  # fmt: skip
OTHER = CASE | {"framework": "pytorch"}
HEADER = {
    "type": "header", "format_version": 1, "xibench": "0.1.0", "run_id": "ab", "created_utc": "2026-01-02T03:04:05",
    "preset": None, "command": "xibench run",
    "rule": {"warmup_steps": 2, "min_steps": 5, "max_steps": 9, "budget_s": 6.0, "time_limit_s": 120.0},
    "pictures": {"source": "noise", "files": [], "digest": "0", "preparation": "none"}, "weights_digest": None,
    "environment": {
        "machine": "acme-2c", "cpu_model": "ACME", "cpu_flags": [], "cores_physical": 2, "cores_logical": 2,
        "cores_usable": 2, "memory_bytes": 8, "os": "ACME", "kernel": "1", "python": "3", "packages": {},
        "interpreters": {}, "git_commit": None, "git_dirty": None, "gpus": [], "absent": {"gpus": "none"},
    },
    "environment_hash": "0f", "plan": [CASE, OTHER],
}  # fmt: skip
COSTS = {"parameters_trainable": 1, "parameters_total": 2, "macs": 3, "activations": 4, "bytes_moved": 5}
PROCESS = {
    "order": 0, "started_utc": "2026-01-02T03:04:06", "versions": {"python": "3"}, "device_name": "ACME",
    "import_s": 1.0, "build_s": 1.0, "compile_s": None, "first_step_s": 0.5, "warmup_s": [0.3, 0.2],
    "steps_s": [0.25, 0.5], "stopped_by": "budget_s 6.0",
    "clock": "time.perf_counter, clock_gettime(CLOCK_MONOTONIC), resolution 1e-09 s",
    "memory": {
        "host_baseline_bytes": 1, "host_peak_bytes": 2, "host_method": "VmHWM", "device_peak_allocated_bytes": None,
        "device_peak_reserved_bytes": None, "device_process_bytes": None,
    },
    "settings": {"threads": 2}, "substitutions": [], "output_mean": 0.5, "absent": {"compile_s": "in the first step"},
}  # fmt: skip
GOOD = {
    "type": "record", "case": CASE, "status": "ok", "reason": None, "log": None, "costs": COSTS, "environment": "0f",
    "processes": [PROCESS],
}  # fmt: skip
BAD = GOOD | {"case": OTHER, "status": "failed", "reason": "it fell over", "log": "last words", "processes": []}


def written(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def test_a_file_of_format_1_is_read_with_its_samples_and_failures(tmp_path: Path) -> None:
    run = read(written(tmp_path, HEADER, GOOD, BAD))
    good, bad = run.records
    assert run.header.format_version == FORMAT_VERSION
    assert good.processes[0].steps_s == [0.25, 0.5]
    assert (good.processes[0].clock.name, good.processes[0].clock.resolution_s) == (
        "time.perf_counter, clock_gettime(CLOCK_MONOTONIC)", 1e-9,
    )  # fmt: skip
    assert (bad.status, bad.reason, bad.log) == ("failed", "it fell over", "last words")
    assert [a.order for a in run.attempts] == [0, 1]
    assert run.calibration is None


def test_a_rule_of_format_1_says_what_that_format_did(tmp_path: Path) -> None:
    sampling = read(written(tmp_path, HEADER)).header.sampling
    assert (sampling.processes, sampling.repeats, sampling.warmup_steps, sampling.max_warmup_steps) == (1, 0, 2, 2)
    assert (sampling.half_width, sampling.budget_s, sampling.max_steps) == (None, 6.0, 9)


def test_what_format_1_did_not_hold_is_null_with_the_reason(tmp_path: Path) -> None:
    run = read(written(tmp_path, HEADER, GOOD))
    (attempt,) = run.attempts
    assert attempt.surroundings is None
    assert attempt.process is not None
    assert attempt.process.sampled is not None
    for part, reasons in (
        (attempt.process, attempt.process.absent),
        (attempt.process.sampled, attempt.process.absent),
        (attempt.process.clock, attempt.process.absent),
        (attempt.process.memory, attempt.process.absent | {"device_peak_allocated_bytes": ""}
         | {"device_peak_reserved_bytes": "", "device_process_bytes": ""}),
        (attempt.process.energy, attempt.process.energy.absent),
        (attempt.costs, attempt.costs.absent),
        (run.header.environment, run.header.environment.absent | {"git_commit": "", "git_dirty": ""}),
    ):  # fmt: skip
        nulls = {field for field, value in msgspec.structs.asdict(part).items() if value is None}
        assert nulls <= set(reasons), part


def test_a_file_of_format_1_is_not_gone_on_with(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, GOOD)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"has format 1: it can be read but not resumed.*start a new run"):
        RunFile.resume(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [{"case": 3}, {"processes": [{}]}, {"costs": None}, {"status": "splendid"}])
def test_a_damaged_line_of_format_1_is_named(tmp_path: Path, damage: dict[str, object]) -> None:
    with pytest.raises(StoreError, match="line 2 is damaged"):
        read(written(tmp_path, HEADER, GOOD | damage))


def test_a_damaged_header_of_format_1_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="line 1 is damaged"):
        read(written(tmp_path, {key: value for key, value in HEADER.items() if key != "rule"}))


def test_a_line_of_the_next_format_does_not_pass_as_one_of_format_1(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="line 2 is damaged"):
        read(written(tmp_path, HEADER, {"type": "attempt"}))


def test_the_committed_reference_runs_stay_readable_the_oldest_too() -> None:
    root = Path(__file__).parents[2] / "results" / "reference"
    paths = [path for path in root.glob("*/*.jsonl") if path.name != "claims.jsonl"]
    assert "quick-0.1.jsonl" in {path.name for path in paths}
    for path in paths:
        run = read(path)
        assert len(run.records) == len(run.header.plan)
        assert all(record.processes[0].steps_s for record in run.records)


ENERGY_3 = {
    "window_s": 0.75, "images": 8, "gpu_counter_joules": None, "gpu_integrated_joules": None, "gpu_power_samples": 0,
    "cpu_package_joules": 30.0, "absent": {"gpu_counter_joules": "no card", "gpu_integrated_joules": "no card"},
}  # fmt: skip
PROCESS_3 = PROCESS | {
    "warmup_stopped_by": "no trend", "device_steps_s": None, "input_buffers": 2, "energy": ENERGY_3, "server": None,
    "clock": {"name": "clock", "resolution_s": 1e-9, "read_s": 1e-8, "loop_overhead_s": 1e-7}, "equality": None,
}  # fmt: skip
CARD_3 = {
    "index": 0, "sm_clock_hz": None, "memory_clock_hz": None, "throttle_reasons": None, "temperature_celsius": None,
    "power_watts": None, "power_limit_watts": None, "strangers": None,
    "absent": {"strangers": "the card does not tell"},
}  # fmt: skip
MOMENT_3 = {
    "taken_utc": "2026-01-02T03:04:05", "load_1m": None, "others_share": None, "steal_share": None, "cpu_hz": None,
    "governor": None, "throttle_count": None, "gpus": [CARD_3 | {"strangers": 2}],
}  # fmt: skip
ATTEMPT_3 = {
    "type": "attempt", "case": CASE, "number": 0, "order": 0, "status": "ok", "costs": COSTS, "environment": "0f",
    "surroundings": {
        "before": MOMENT_3, "after": MOMENT_3, "wall_s": 1.0, "others_share": None, "steal_share": None,
        "gpus": [CARD_3], "disturbed": ["load 99 (limit 1)"],
    },
    "process": PROCESS_3, "set_aside": True,
}  # fmt: skip
CALIBRATION_3 = {
    "type": "calibration", "environment": "0f", "device": "cpu", "taken_utc": "2026-01-02T03:04:05",
    "products": [{"framework": "jax", "precision": "fp32", "n": 512, "flops_per_s": 1e9}], "copies": [],
    "idle": {"window_s": 1.0, "gpu_watts": None, "cpu_package_watts": 5.0},
}  # fmt: skip
HEADER_3 = HEADER | {"format_version": 3}


def test_a_file_of_format_3_is_read_under_the_names_of_the_present_one(tmp_path: Path) -> None:
    run = read(written(tmp_path, HEADER_3, CALIBRATION_3, ATTEMPT_3))
    (attempt,) = run.attempts
    assert run.header.format_version == FORMAT_VERSION
    assert (run.header.sampling.budget_s, run.header.images.source) == (6.0, "noise")
    assert attempt.superseded
    assert attempt.surroundings is not None
    assert [gpu.foreign_processes for gpu in attempt.surroundings.before.gpus] == [2]
    assert attempt.surroundings.gpus[0].absent == {"foreign_processes": "the card does not tell"}
    assert run.calibration is not None
    assert run.calibration.peak_flops_per_s("fp32") == 1e9


@pytest.mark.parametrize(("scenario", "kind"), [("offline", Steps), ("single-stream", Queries), ("compile", Compile)])
def test_what_a_process_of_format_3_measured_follows_from_its_scenario(
    tmp_path: Path, scenario: str, kind: type
) -> None:
    line = ATTEMPT_3 | {"case": CASE | {"scenario": scenario}}
    (process,) = read(written(tmp_path, HEADER_3, line)).records[0].processes
    assert type(process.measured) is kind
    if kind is Compile:
        assert (process.steps_s, process.images) == ([], 0)
    else:
        assert (process.steps_s, process.warmup_s, process.images) == ([0.25, 0.5], [0.3, 0.2], 8)
    assert process.energy.cpu_package_joules == 30.0


def test_the_rates_of_a_server_of_format_3_stay(tmp_path: Path) -> None:
    trial = {"rate_hz": 2.0, "latencies_s": [0.1, 0.2], "p99_s": 0.2, "within": True}
    served = PROCESS_3 | {"server": {"bound_s": 0.5, "highest_rate_hz": 2.0, "trials": [trial]}}
    line = ATTEMPT_3 | {"case": CASE | {"scenario": "server"}, "process": served}
    (process,) = read(written(tmp_path, HEADER_3, line)).records[0].processes
    assert isinstance(process.measured, Server)
    assert (process.measured.bound_s, process.measured.highest_rate_hz) == (0.5, 2.0)
    assert process.measured.trials[0].latencies_s == [0.1, 0.2]
    assert process.steps_s == [0.25, 0.5]


def test_what_format_3_did_not_hold_is_null_with_the_reason(tmp_path: Path) -> None:
    run = read(written(tmp_path, HEADER_3, ATTEMPT_3))
    (process,) = run.records[0].processes
    assert (process.weights_digest, run.header.environment.variables) == (None, None)
    assert process.absent["weights_digest"] == run.header.environment.absent["variables"]
    assert "before format 4" in process.absent["weights_digest"]


def test_a_file_of_format_2_is_read_and_says_what_it_did_not_hold(tmp_path: Path) -> None:
    older = {name: value for name, value in PROCESS_3.items() if name != "equality"}
    run = read(written(tmp_path, HEADER | {"format_version": 2}, ATTEMPT_3 | {"process": older}))
    (process,) = run.records[0].processes
    assert run.header.format_version == FORMAT_VERSION
    assert process.equality is None
    assert process.absent["equality"] == "files of format 2 do not hold it"
    assert process.steps_s == [0.25, 0.5]


@pytest.mark.parametrize(
    "damage", [{"process": {}}, {"surroundings": {"before": 1}}, {"case": {"scenario": "splendid"}}]
)
def test_a_damaged_line_of_format_3_is_named(tmp_path: Path, damage: dict[str, object]) -> None:
    with pytest.raises(StoreError, match="line 2 is damaged"):
        read(written(tmp_path, HEADER_3, ATTEMPT_3 | damage))


def test_every_committed_file_of_pairs_stays_readable() -> None:
    root = Path(__file__).parents[2] / "results" / "reference"
    paths = [path for path in root.glob("*/*/*.jsonl") if b"pairs_header" in path.read_bytes()[:40]]
    assert len(paths) > 100
    for path in paths:
        pairs = pair_store.read(path).pairs
        assert any(pair.log_ratio is not None and not pair.superseded for pair in pairs), path


def test_a_file_of_pairs_of_version_1_is_read_under_the_present_names(tmp_path: Path) -> None:
    side = {"name": "tree", "commit": None}
    procedure = {
        "burst_s": 0.1, "least_steps": 1, "pair_s": 2.0, "least_bursts": 3, "most_bursts": 9, "warmup_budget_s": 1.0,
        "budget_s": None, "least_pairs": 4, "most_pairs": 30, "repeats": 1, "seed": 0,
    }  # fmt: skip
    head = {
        "type": "pairs_header", "pairs_version": 1, "xibench": "0.1", "created_utc": "2026-01-02T03:04:05",
        "command": "xibench ab", "base": side, "new": side, "threshold": 0.01, "environment": HEADER["environment"],
        "plan": [CASE], "procedure": procedure, "pictures": HEADER["pictures"],
    }  # fmt: skip
    pair = {
        "type": "pair", "case": CASE, "number": 0, "started_utc": "2026-01-02T03:04:05", "wall_s": 1.0,
        "new_started_first": True, "new_first": [], "base": None, "new": None, "log_ratio": 0.01,
        "surroundings": ATTEMPT_3["surroundings"], "disturbed": [], "set_aside": True, "status": "ok",
    }  # fmt: skip
    found = pair_store.read(written(tmp_path, head, pair))
    assert found.header.pairs_version == PAIRS_VERSION
    assert found.header.procedure is not None
    assert (found.header.procedure.min_bursts, found.header.procedure.max_pairs) == (3, 30)
    assert found.header.images is not None
    assert found.pairs[0].superseded
    around = found.pairs[0].surroundings
    assert around is not None
    assert around.before.gpus[0].foreign_processes == 2
