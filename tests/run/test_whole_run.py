"""Runs of a small network in a real framework, the conditions read on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.builders import small_case
from tests.run.conftest import Listener, Quiet
from xibench.record.schema import Case, Record, SamplingConfig, Server
from xibench.record.store import read
from xibench.record.summary import summarise
from xibench.run.execute import run, start
from xibench.run.monitor import ConditionMonitor

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
BRIEF = SamplingConfig(warmup_steps=1, max_warmup_steps=2, min_steps=3, max_steps=3, time_limit_s=1800)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On cores that others use, threads that wait for each other would take minutes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


APART = """
import subprocess, sys
spin = "import time; end = time.monotonic() + 3600\\nwhile time.monotonic() < end: pass"
quiet = subprocess.DEVNULL
print(subprocess.Popen([sys.executable, "-c", spin], stdin=quiet, stdout=quiet, stderr=quiet).pid)
"""


@pytest.fixture
def busy() -> Iterator[None]:
    """Other processes that keep every usable core busy. They belong to nobody that the run knows."""
    pids = []
    for _ in os.sched_getaffinity(0):
        done = subprocess.run([sys.executable, "-c", APART], capture_output=True, check=True)
        pids.append(int(done.stdout))
    yield
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def taken(
    tmp_path: Path, case: Case, sampling: SamplingConfig, listener: Listener, conditions: ConditionMonitor | None = None
) -> Record:
    with start([case], sampling, None, "xibench run", tmp_path) as run_file:
        (record,) = run([case], run_file, listener, calibrate=False, conditions=conditions or Quiet())
    assert read(run_file.path).records == (record,)
    return record


def scenario(name: str, latency_bound_s: float | None = None) -> Case:
    return msgspec.structs.replace(small_case(), scenario=name, latency_bound_s=latency_bound_s)


@pytest.mark.alone
@pytest.mark.usefixtures("busy")
def test_a_run_beside_busy_processes_is_repeated_and_then_marked_disturbed_with_the_reason(
    tmp_path: Path, listener: Listener
) -> None:
    record = taken(tmp_path, small_case(), BRIEF, listener, ConditionMonitor())
    assert [a.superseded for a in record.attempts] == [True, False]
    for attempt in record.attempts:
        assert attempt.surroundings is not None
        (reason, *_) = attempt.surroundings.disturbed
        assert "% of the usable cores' time (limit 5.0%)" in reason
        assert (attempt.surroundings.others_share or 0) > 0.05
    summary = summarise(record)
    assert (summary.processes, summary.superseded) == (1, 1)
    assert summary.disturbed


@pytest.mark.slow
def test_a_sweep_of_a_network_runs_out_of_memory_and_ends_with_that_as_its_result(
    tmp_path: Path, listener: Listener
) -> None:
    plan = [small_case(batch=batch) for batch in (1, 64, 512, 1024)]
    sampling = msgspec.structs.replace(BRIEF, sweep=True, memory_limit_bytes=450 * 2**20)
    with start(plan, sampling, None, "xibench run", tmp_path) as run_file:
        records = run(plan, run_file, listener, calibrate=False, conditions=Quiet())
    states = [record.status for record in records]
    fitted = states.count("ok")
    assert 0 < fitted < len(plan) - 1
    assert states == ["ok"] * fitted + ["out_of_memory"] * (len(plan) - fitted)
    assert "more than its limit of 450.0 MiB" in (records[fitted].reason or "")
    not_tried = f"not tried: batch {plan[fitted].batch} had run out of memory"
    assert {r.reason for r in records[fitted + 1 :]} == {not_tried}


def test_single_stream_states_the_percentiles_that_its_queries_support(tmp_path: Path, listener: Listener) -> None:
    sampling = msgspec.structs.replace(BRIEF, min_steps=20, max_steps=20)
    few = taken(tmp_path, scenario("single-stream"), sampling, listener)
    p50, p99 = (summarise(few).latency[name] for name in ("p50", "p99"))
    assert p50.value is not None
    assert (p99.value, p99.n, p99.needed) == (None, 20, 368)


@pytest.mark.slow
def test_a_server_that_may_take_its_time_keeps_up_with_the_highest_rate(tmp_path: Path, listener: Listener) -> None:
    record = taken(tmp_path, scenario("server", 60.0), msgspec.structs.replace(BRIEF, max_steps=20), listener)
    server = record.processes[0].measured
    assert isinstance(server, Server)
    assert [trial.within for trial in server.trials] == [True, True]
    assert server.highest_rate_hz == max(trial.rate_hz for trial in server.trials)
    assert all(min(trial.latencies_s) > 0 for trial in server.trials)


def stopped_by(record: Record) -> str | None:
    sampled = record.processes[0].sampled
    return sampled.stopped_by if sampled else None


@pytest.mark.slow
def test_a_worker_that_nears_its_time_limit_reports_the_steps_that_it_has_marked(
    tmp_path: Path, listener: Listener
) -> None:
    (before,) = taken(tmp_path / "before", small_case(), BRIEF, listener).attempts
    assert before.surroundings is not None
    limit_s = 10.0 + 3 * math.ceil(before.surroundings.wall_s)  # enough to begin with steps on this machine
    endless = msgspec.structs.replace(BRIEF, min_steps=10**6, max_steps=10**6, time_limit_s=limit_s)
    record = taken(tmp_path / "endless", small_case(), endless, listener)
    assert record.status == "ok"
    assert stopped_by(record) == f"time_limit_s {limit_s}"
    assert 1 < len(record.processes[0].steps_s) < 10**6
    assert summarise(record).cut_short == 1


@pytest.mark.slow
def test_a_run_with_a_total_budget_gives_each_process_a_share_and_every_case_a_result(
    tmp_path: Path, listener: Listener
) -> None:
    sampling = msgspec.structs.replace(BRIEF, min_steps=3, max_steps=10**6, budget_s=600.0, total_budget_s=0.5)
    plan = [small_case(batch=batch) for batch in (1, 2)]
    with start(plan, sampling, None, "xibench run", tmp_path) as run_file:
        records = run(plan, run_file, listener, calibrate=False, conditions=Quiet())
    assert [stopped_by(record) for record in records] == ["total_budget_s 0.5"] * 2
    assert [len(record.processes[0].steps_s) for record in records] == [3, 3]
    assert not any(summarise(record).cut_short for record in records)


@pytest.mark.slow
def test_compile_times_are_a_spread_over_fresh_processes(tmp_path: Path, listener: Listener) -> None:
    record = taken(tmp_path, scenario("compile"), msgspec.structs.replace(BRIEF, processes=3), listener)
    assert [p.steps_s for p in record.processes] == [[], [], []]
    first = summarise(record).first_step_s
    assert first is not None
    assert (first.processes, first.n) == (3, 3)


def test_ceilings_of_this_machine_are_measured_and_a_step_is_held_against_them(
    tmp_path: Path, listener: Listener
) -> None:
    with start([small_case()], BRIEF, None, "xibench run", tmp_path) as run_file:
        (record,) = run([small_case()], run_file, listener, conditions=Quiet())
    calibration = read(run_file.path).calibration
    assert calibration is not None
    (product,), (copy,) = calibration.matmuls, calibration.copies
    assert (product.reason, copy.reason) == (None, None)
    assert product.flops_per_s is not None
    assert product.flops_per_s > 1e8
    assert (copy.bytes_per_s or 0) > 1e8
    attained = summarise(record, calibration).attained
    assert attained is not None
    assert 0 < attained < 1
    idle = calibration.idle
    assert all(getattr(idle, name) is not None or idle.absent[name] for name in ("gpu_watts", "cpu_package_watts"))
