from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests import builders
from xibench.errors import StoreError
from xibench.record.schema import FORMAT_VERSION
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
    rule = read(written(tmp_path, HEADER)).header.rule
    assert (rule.processes, rule.repeats, rule.warmup_steps, rule.max_warmup_steps) == (1, 0, 2, 2)
    assert (rule.half_width, rule.budget_s, rule.max_steps) == (None, 6.0, 9)


def test_what_format_1_did_not_hold_is_null_with_the_reason(tmp_path: Path) -> None:
    run = read(written(tmp_path, HEADER, GOOD))
    (attempt,) = run.attempts
    assert attempt.surroundings is None
    assert attempt.process is not None
    for part, reasons in (
        (attempt.process, attempt.process.absent),
        (attempt.process.clock, attempt.process.absent),
        (attempt.process.memory, attempt.process.absent | {"device_peak_allocated_bytes": "", "server": ""}
         | {"device_peak_reserved_bytes": "", "device_process_bytes": ""}),
        (attempt.process.energy, attempt.process.energy.absent),
        (attempt.costs, attempt.costs.absent),
        (run.header.environment, run.header.environment.absent | {"git_commit": "", "git_dirty": ""}),
    ):  # fmt: skip
        nulls = {field for field, value in msgspec.structs.asdict(part).items() if value is None} - {"server"}
        assert nulls <= set(reasons), part


def test_a_file_of_format_1_is_not_gone_on_with(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, GOOD)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"has format 1: it can be read but not gone on with.*begin a new run"):
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


def test_a_file_of_format_2_is_read_and_says_what_it_did_not_hold(tmp_path: Path) -> None:
    made = builders.attempt(builders.small_case())
    head = msgspec.to_builtins(builders.header([builders.small_case()])) | {"format_version": 2}
    line = msgspec.to_builtins(made)
    del line["process"]["equality"]
    run = read(written(tmp_path, head, line))
    (process,) = run.records[0].processes
    assert run.header.format_version == FORMAT_VERSION
    assert process.equality is None
    assert process.absent["equality"] == "files of format 2 do not hold it"
    assert process.steps_s == made.process.steps_s  # type: ignore[union-attr]
