from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.builders import header, small_case
from tests.processes import GENEROUS_S
from xibench.measure.conditions import Conditions, During
from xibench.record.schema import Attempt, Case, Record, SamplingConfig
from xibench.record.store import RunFile
from xibench.run.execute import run
from xibench.run.monitor import ConditionMonitor

RunWith = Callable[..., list[Record]]
StandIn = Callable[[str], list[str]]


class Listener:
    """An observer that remembers what it was called with."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.warnings: list[str] = []

    def preparing(self, text: str) -> None:
        self.heard.append(text)

    def started(self, case: Case, index: int, total: int) -> None:
        self.heard.append(f"{index + 1}/{total}")

    def phase(self, case: Case, text: str) -> None:
        self.heard.append(text)

    def finished(self, record: Record) -> None:
        self.heard.append(record.attempts[-1].status)

    def warned(self, text: str) -> None:
        self.warnings.append(text)


class Quiet(ConditionMonitor):
    """Conditions of a machine that nothing ever disturbs, except the workers named by their order in the run."""

    def __init__(self, attempts: Sequence[Attempt] = (), disturbed: Sequence[int] = ()) -> None:
        super().__init__(watch_s=0)
        self._order = len(attempts)
        self._disturbed = disturbed

    def judge(self, before: Conditions, after: Conditions, during: During) -> list[str]:
        self._order += 1
        return ["load 99 (limit 1)"] if self._order - 1 in self._disturbed else []


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def stand_in() -> StandIn:
    """The command of a stand-in worker, by its behaviour per batch: the first for batch 1."""
    return lambda behaviour: [sys.executable, "-P", str(Path(__file__).with_name("stand_in.py")), behaviour]


@pytest.fixture
def run_with(tmp_path: Path, listener: Listener, stand_in: StandIn) -> RunWith:
    """Runs as many cases as behaviours are named: batch 1, 2, …; the run file is tmp_path / run.jsonl."""

    def call(behaviour: str, sampling: SamplingConfig | None = None, disturbed: Sequence[int] = ()) -> list[Record]:
        plan = [small_case(batch=n + 1) for n in range(len(behaviour.split(",")))]
        made = header(plan, sampling or SamplingConfig(time_limit_s=GENEROUS_S))
        with RunFile.create(tmp_path / "run.jsonl", made) as run_file:
            conditions = Quiet(disturbed=disturbed)
            return run(plan, run_file, listener, worker=stand_in(behaviour), calibrate=False, conditions=conditions)

    return call
