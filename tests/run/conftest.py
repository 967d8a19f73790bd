from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import header, small_case
from xibench.record.schema import Case, Record, Rule
from xibench.record.store import RunFile
from xibench.run.parent import run


class Listener:
    """A watch that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.warnings: list[str] = []

    def started(self, case: Case, index: int, total: int) -> None:
        self.told.append(f"{index + 1}/{total}")

    def phase(self, case: Case, text: str) -> None:
        self.told.append(text)

    def finished(self, record: Record) -> None:
        self.told.append(record.status)

    def warned(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def stand_in() -> Callable[[str], list[str]]:
    """The command of a stand-in worker, by its behaviour per position in the run."""
    return lambda behaviour: [sys.executable, "-P", str(Path(__file__).with_name("stand_in.py")), behaviour]


@pytest.fixture
def run_with(
    tmp_path: Path, listener: Listener, stand_in: Callable[[str], list[str]]
) -> Callable[[str, float], list[Record]]:
    """Runs as many cases as behaviours are named, with a time limit; the run file is tmp_path / run.jsonl."""

    def call(behaviour: str, time_limit_s: float = 60.0) -> list[Record]:
        plan = [small_case(batch=n + 1) for n in range(len(behaviour.split(",")))]
        with RunFile.create(tmp_path / "run.jsonl", header(plan, Rule(time_limit_s=time_limit_s))) as run_file:
            return run(plan, run_file, listener, worker=stand_in(behaviour))

    return call
