from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest

from tests.builders import header, small_case
from tests.processes import GENEROUS_S, wait_for_pids, wait_until_gone
from tests.run.conftest import Listener, Quiet, RunWith, StandIn
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile, read
from xibench.run.execute import run


def test_a_worker_that_is_killed_is_recorded_with_its_last_output_and_the_run_goes_on(
    run_with: RunWith, tmp_path: Path
) -> None:
    killed, other = run_with("kill,ok")
    assert killed.status == "failed"
    assert killed.reason == (
        "the worker was killed by SIGKILL during build; "
        "perhaps by the kernel's out-of-memory killer: try a smaller batch"
    )
    assert killed.log == "last words"
    assert other.status == "ok"
    assert read(tmp_path / "run.jsonl").records == (killed, other)


def test_a_worker_that_the_kernel_killed_for_want_of_memory_ran_out_of_it(
    run_with: RunWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([4, 5, 5, 5])
    monkeypatch.setattr("xibench.workers.session.oom_kills", lambda: next(counts))
    killed, other = run_with("kill,ok")
    assert killed.status == "out_of_memory"
    assert (killed.reason or "").startswith("the worker was killed by SIGKILL during build; the kernel counts")
    assert other.status == "ok"


def test_a_worker_that_exits_is_recorded_with_its_last_output_and_the_run_goes_on(run_with: RunWith) -> None:
    left, other = run_with("exit,ok")
    assert (left.status, left.log) == ("failed", "last words")
    assert left.reason == "the worker exited with code 3 during build, without a result"
    assert other.status == "ok"


def test_a_worker_that_hangs_is_recorded_with_its_last_output_and_the_run_goes_on(
    run_with: RunWith, tmp_path: Path
) -> None:
    (quick,) = run_with("ok")
    (tmp_path / "run.jsonl").unlink()
    around = quick.attempts[0].surroundings
    assert around is not None
    limit_s = math.ceil(3 + 10 * around.wall_s)  # far more than a worker takes on this machine at this moment
    hung, other = run_with("hang,ok", SamplingConfig(time_limit_s=limit_s))
    assert (hung.status, hung.log) == ("timeout", "last words")
    assert hung.reason == f"the worker was still in build after its limit of {limit_s} s and was killed"
    assert other.status == "ok"


def test_a_worker_that_writes_rubbish_is_recorded_with_its_last_output_and_the_run_goes_on(run_with: RunWith) -> None:
    rubbish, other = run_with("rubbish,ok")
    assert (rubbish.status, rubbish.log) == ("failed", "last words")
    assert rubbish.reason == "the worker wrote no message on the pipe for its answers, but '\\x00rubbish'"
    assert other.status == "ok"


def test_a_worker_that_writes_without_end_is_stopped(run_with: RunWith) -> None:
    (record,) = run_with("endless")
    assert record.status == "failed"
    assert "without a line end" in (record.reason or "")


def test_a_worker_that_talks_much_keeps_its_last_output(run_with: RunWith) -> None:
    (record,) = run_with("chatter")
    assert record.status == "failed"
    assert len(record.log or "") == 16 * 1024 - 1


def test_a_worker_that_ran_out_of_memory_says_so_itself(run_with: RunWith) -> None:
    (record,) = run_with("memory")
    assert (record.status, record.reason, record.processes) == ("out_of_memory", "MemoryError: no room", [])


def test_a_worker_that_crashes_after_its_answer_has_measured(run_with: RunWith) -> None:
    (record,) = run_with("crash-after-answer")
    assert record.status == "ok"
    assert len(record.processes) == 1


def test_a_worker_whose_child_keeps_the_pipes_open_is_not_waited_for(run_with: RunWith, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    (record,) = run_with(f"orphan:{pid_file}")
    assert record.reason == "the worker exited with code 3 during build, without a result"
    wait_until_gone(*wait_for_pids(pid_file))  # it would have lived for an hour


def test_a_worker_that_cannot_be_started_is_recorded(tmp_path: Path, listener: Listener) -> None:
    plan = [small_case()]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        (record,) = run(plan, run_file, listener, [str(tmp_path / "no-python")], calibrate=False, conditions=Quiet())
    assert record.status == "failed"
    assert "cannot be started" in (record.reason or "")
    assert "No such file" in (record.reason or "")


def test_the_watch_hears_of_cases_and_phases_in_order(run_with: RunWith, listener: Listener) -> None:
    run_with("ok,exit")
    assert listener.heard == ["1/2", "build", "ok", "2/2", "build", "failed"]


def test_a_busy_machine_is_said_once_before_the_first_process(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    class Busy(Quiet):
        def busy(self, effect: str = "") -> str | None:
            return f"others take 90% of the cores' time, after {len(listener.heard)} events"

    plan = [small_case(batch=1), small_case(batch=2)]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        run(plan, run_file, listener, worker=stand_in("ok"), calibrate=False, conditions=Busy())
    assert listener.warnings == ["others take 90% of the cores' time, after 0 events"]
    assert listener.heard


def test_a_record_has_costs_and_the_environment(run_with: RunWith, tmp_path: Path) -> None:
    (record,) = run_with("ok")
    assert record.costs.macs > 1_000_000
    assert record.environment == read(tmp_path / "run.jsonl").header.environment_hash


def test_a_resumed_run_measures_only_what_is_missing(
    run_with: RunWith, tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    run_with("ok,exit,ok")
    path = tmp_path / "run.jsonl"
    os.truncate(path, path.stat().st_size - 5)
    with RunFile.resume(path) as run_file:
        cut_off = run_file.index.pending()
        records = run(cut_off, run_file, listener, stand_in("exit,ok,exit"), calibrate=False, conditions=Quiet())
    assert [(r.case.batch, r.status) for r in records] == [(2, "ok")]
    assert [r.status for r in read(path).records] == ["ok", "ok", "ok"]
    assert listener.heard[-3:] == ["3/3", "build", "ok"]


def test_a_worker_that_takes_more_memory_than_its_limit_is_killed_and_says_how_much(run_with: RunWith) -> None:
    greedy, other = run_with("hoard:600,ok", SamplingConfig(memory_limit_bytes=400 * 2**20))
    assert greedy.status == "out_of_memory"
    held, limit = re.findall(r"([\d.]+) MiB", greedy.reason or "")
    assert float(held) > float(limit) == 400.0
    assert greedy.log == "last words"
    assert other.status == "ok"


def test_the_memory_of_a_workers_children_counts(run_with: RunWith) -> None:
    (record,) = run_with("child-hoards:600", SamplingConfig(memory_limit_bytes=400 * 2**20, time_limit_s=GENEROUS_S))
    assert record.status == "out_of_memory"


def test_what_goes_on_around_a_worker_is_in_its_attempt(run_with: RunWith) -> None:
    (record,) = run_with("slow:0.3")
    around = record.attempts[0].surroundings
    assert around is not None
    assert around.wall_s > 0.3
    assert around.before.taken_utc < around.after.taken_utc
    for part in (around, around.before, around.after):
        nulls = {name for name in part.__struct_fields__ if getattr(part, name) is None}
        assert nulls <= set(part.absent)


def test_energy_is_measured_from_the_first_timed_step_to_the_last(run_with: RunWith) -> None:
    (record,) = run_with("slow:2")
    energy, around = record.processes[0].energy, record.attempts[0].surroundings
    assert around is not None
    assert 0 < energy.window_s < around.wall_s  # this process may hear of either end late
    for name in ("gpu_counter_joules", "gpu_integrated_joules", "cpu_package_joules"):
        assert getattr(energy, name) is not None or energy.absent[name]
