from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.builders import header, small_case
from tests.run.conftest import Listener, Quiet, RunWith, StandIn
from xibench.record.store import RunFile, read
from xibench.run.execute import run
from xibench.workers import session

CEILINGS = """
import os, sys, msgspec
from xibench.record.schema import Copy, Matmul
from xibench.workers.messages import Ceilings, MeasureCeilings
asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=MeasureCeilings)
name = asked.framework
if name == "jax":
    sys.exit(3)
products = [Matmul(framework=name, precision=p, n=512, flops_per_s=2e9) for p in asked.precisions]
answer = Ceilings(matmuls=products, copies=[Copy(framework=name, size_bytes=64, bytes_per_s=1e9)])
os.write(int(sys.argv[-1]), msgspec.json.encode(answer) + b"\\n")
"""


@pytest.fixture
def ceilings_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ceilings.py"
    path.write_text(CEILINGS)
    monkeypatch.setattr(session, "worker_command", lambda framework: [sys.executable, "-P", str(path)])


@pytest.mark.usefixtures("ceilings_worker")
def test_ceilings_come_before_the_first_case_once_and_again_in_another_environment(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case("pytorch"), small_case("jax")]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        (first,) = run(plan[:1], run_file, listener, stand_in("ok"), conditions=Quiet())
        run(run_file.index.pending(), run_file, listener, stand_in("ok"), conditions=Quiet())
    assert len(read(run_file.path).calibrations) == 1
    assert listener.heard[:3] == ["idle power", "ceilings in pytorch", "1/2"]
    assert first.costs.attainable_s is not None
    expected = max(2 * first.costs.macs / 2e9, 0)
    assert first.costs.attainable_s >= expected > 0
    assert (first.costs.attainable_as_written_s or 0) >= first.costs.attainable_s

    more = [*plan, small_case("jax", batch=2)]
    with RunFile.create(tmp_path / "more.jsonl", header(more)) as run_file:
        run(more[:1], run_file, listener, stand_in("ok"), conditions=Quiet())
    with RunFile.resume(tmp_path / "more.jsonl", "another environment") as run_file:
        (_, last) = run(run_file.index.pending(), run_file, listener, stand_in("ok"), conditions=Quiet())
    here, there = read(tmp_path / "more.jsonl").calibrations
    assert here.environment != there.environment == last.environment == "another environment"
    assert [p.reason for p in there.matmuls] == ["the worker exited with code 3 during start, without a result"]
    assert last.costs.attainable_s is None
    assert "matmul in fp32" in last.costs.absent["attainable_s"]


def test_without_ceilings_attainable_time_is_null_with_the_reason(run_with: RunWith) -> None:
    (record,) = run_with("ok")
    assert record.costs.attainable_s is record.costs.attainable_as_written_s is None
    assert record.costs.absent["attainable_s"] == "the run's ceilings were not measured"
    assert record.costs.elementwise


@pytest.mark.usefixtures("ceilings_worker")
def test_ceilings_of_another_environment_are_not_what_a_step_is_held_against(
    tmp_path: Path, listener: Listener, stand_in: StandIn
) -> None:
    plan = [small_case(), small_case(batch=2)]
    with RunFile.create(tmp_path / "run.jsonl", header(plan)) as run_file:
        run(plan[:1], run_file, listener, stand_in("ok"), conditions=Quiet())
    with RunFile.resume(run_file.path, "another environment") as run_file:
        (record,) = run(plan[1:], run_file, listener, stand_in("ok"), calibrate=False, conditions=Quiet())
    assert record.costs.attainable_s is None
