"""Answers of workers that measured very many steps: none is lost for its length, while endless garbage still ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.processes import GENEROUS_S
from xibench.workers.messages import Burst, Steps
from xibench.workers.session import WorkerOutcome, run_worker

WORKER = Path(__file__).with_name("talkative_worker.py")
STEPS = 1_000_000


def outcome(which: str) -> WorkerOutcome[Steps]:
    command = [sys.executable, "-P", str(WORKER), which]
    root = str(Path(__file__).parents[2])
    request = Burst(seconds=1.0, min_steps=1, core=0)
    return run_worker(command, {**os.environ, "PYTHONPATH": root}, request, Steps, time_limit_s=GENEROUS_S)


def test_the_answer_of_a_worker_that_timed_a_million_steps_arrives_whole() -> None:
    found = outcome("long")
    assert found.status == "ok", found.reason
    assert found.result is not None
    assert len(found.result.steps_s) == STEPS
    assert found.result.steps_s[-1] == 1.2345678901234567e-05 + (STEPS - 1) * 1e-12


def test_garbage_without_an_end_ends_with_the_worker() -> None:
    found = outcome("garbage")
    assert found.status == "failed"
    assert "without a line end" in (found.reason or "")
