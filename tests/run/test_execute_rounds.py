from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.builders import header, small_case
from tests.run.conftest import Listener, Quiet, RunWith, StandIn
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile, read
from xibench.run.execute import run
from xibench.run.schedule import round_order


def test_a_sweep_ends_where_memory_ran_out_and_that_is_a_result(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case(framework, batch=2**n) for framework in ("pytorch", "jax") for n in range(5)]
    sampling = SamplingConfig(sweep=True, memory_limit_bytes=400 * 2**20, processes=2)
    with RunFile.create(tmp_path / "run.jsonl", header(plan, sampling)) as run_file:
        behaviour = stand_in("ok,ok,ok,hoard:600")
        records = run(plan, run_file, listener, behaviour, calibrate=False, conditions=Quiet())
        assert run_file.index.pending() == []
    for record in records:
        batch, attempts = record.case.batch, record.attempts
        if batch < 4:
            assert (record.status, len(attempts)) == ("ok", 2)
        elif batch == 4:
            assert (record.status, len(attempts)) == ("out_of_memory", 1)
            assert "more than its limit of 400.0 MiB" in (record.reason or "")
        else:
            assert record.reason == "not tried: batch 4 had run out of memory"
            assert (record.status, record.attempts[0].surroundings) == ("out_of_memory", None)


def test_a_disturbed_process_is_repeated_and_kept_aside(run_with: RunWith, tmp_path: Path) -> None:
    (record,) = run_with("ok", SamplingConfig(processes=2, repeats=1), disturbed=[0])
    assert [(a.number, a.order, a.superseded) for a in record.attempts] == [(0, 0, True), (0, 1, False), (1, 2, False)]
    assert record.attempts[0].surroundings is not None
    assert record.attempts[0].surroundings.disturbed == ["load 99 (limit 1)"]
    assert [p.order for p in record.processes] == [1, 2]
    assert read(tmp_path / "run.jsonl").records == (record,)


def test_a_case_that_stays_disturbed_is_kept_and_marked_with_the_reason(run_with: RunWith) -> None:
    (record,) = run_with("ok", SamplingConfig(processes=2, repeats=2), disturbed=range(9))
    assert [(a.number, a.superseded) for a in record.attempts] == [(0, True), (0, True), (0, False), (1, False)]
    assert all(a.surroundings and a.surroundings.disturbed for a in record.counted)


def test_a_process_that_failed_while_disturbed_is_not_repeated(run_with: RunWith) -> None:
    (record,) = run_with("exit", SamplingConfig(repeats=1), disturbed=[0])
    assert [(a.status, a.superseded) for a in record.attempts] == [("failed", False)]


def test_processes_of_several_cases_are_interleaved_and_the_order_is_in_the_record(
    run_with: RunWith, tmp_path: Path
) -> None:
    run_with("ok,ok,ok", SamplingConfig(processes=3))
    stored = read(tmp_path / "run.jsonl")
    order = [(a.number, a.case.batch) for a in stored.attempts]
    assert [number for number, _ in order] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [a.order for a in stored.attempts] == list(range(9))
    assert order == [(n, c.batch) for n in range(3) for c in round_order(stored.header.plan, stored.header.sampling, n)]
    assert all([p.order for p in r.processes] == [a.order for a in r.counted] for r in stored.records)


@pytest.mark.parametrize("kept", [1, 4, 5])
def test_a_run_that_was_cut_off_in_a_round_goes_on_with_its_next_process(
    run_with: RunWith, tmp_path: Path, listener: Listener, stand_in: StandIn, kept: int
) -> None:
    run_with("ok,ok", SamplingConfig(processes=3, repeats=1), disturbed=[3])
    path = tmp_path / "run.jsonl"
    whole = [(a.case, a.number, a.order, a.superseded) for a in read(path).attempts]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: 1 + kept]) + lines[1 + kept][:50])
    with RunFile.resume(path) as run_file:
        monitor = Quiet(run_file.index.attempts, disturbed=[3])
        run(run_file.index.pending(), run_file, listener, stand_in("ok"), calibrate=False, conditions=monitor)
    assert [(a.case, a.number, a.order, a.superseded) for a in read(path).attempts] == whole


def test_a_sweep_keeps_no_more_than_one_batch_on_the_disk(
    tmp_path: Path, listener: Listener, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept: list[int] = []
    monkeypatch.setattr(
        listener, "finished", lambda record: kept.append(len(list(tmp_path.glob("xibench-*/batch-*.npy"))))
    )
    plan = [small_case(batch=2**n) for n in range(3)]
    with RunFile.create(tmp_path / "run.jsonl", header(plan, SamplingConfig(sweep=True))) as run_file:
        run(plan, run_file, listener, stand_in("ok"), calibrate=False, conditions=Quiet())
    assert kept == [1, 1, 1]
