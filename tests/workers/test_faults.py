"""Faults of workers: every command that starts workers ends with the right status and a reason in one line.

No process is left running. All processes are real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.processes import GENEROUS_S
from tests.workers.commands import COMMANDS, install

ROOT = Path(__file__).parents[2]
FAULTS = {
    "memory limit": ("out_of_memory", "250.0 MiB"),
    "out of memory": ("out_of_memory", "MemoryError: no room"),
    "time limit": ("timeout", "during build"),
    "death of the worker": ("failed", "SIGABRT"),
    "100 MB on stdout": ("failed", "exited with code 3"),
    "garbage on the pipe": ("failed", "garbage"),
}
"""Fault -> the status, and a part of the reason."""
PATIENCE_S = GENEROUS_S


def workers_of(pid_file: Path) -> list[int]:
    return [int(line) for line in pid_file.read_text().splitlines()] if pid_file.exists() else []


def running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_ends_with_the_right_status_and_one_line_and_leaves_no_process(
    command: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_limit_s = 3.0 if fault == "time limit" else 600.0
    pid_file = install(fault, tmp_path, monkeypatch, time_limit_s)
    expected, named = FAULTS[fault]
    status, reason = COMMANDS[command](tmp_path, time_limit_s)
    assert status == ("null" if command == "ceilings" else expected), reason
    assert named in reason or fault == "time limit"
    assert reason
    assert "\n" not in reason
    assert workers_of(pid_file) or fault == "time limit"  # a busy machine may not start one within the limit
    assert not running(workers_of(pid_file))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_worker_exits_when_its_parent_is_killed(command: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "tests.workers.commands", command, str(tmp_path), "death of the parent"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as parent:
        expected = 2 if command == "ab" else 1
        while len(workers_of(tmp_path / "pids")) < expected:
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    pids = workers_of(tmp_path / "pids")
    deadline = time.monotonic() + PATIENCE_S
    while running(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = running(pids)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_exactly_one_place_starts_workers() -> None:
    """Other code that starts processes calls git and similar tools, and waits for them."""
    starts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("subprocess.Popen(")
        for path in (ROOT / "xibench").rglob("*.py")
    }
    assert {name: count for name, count in starts.items() if count} == {"xibench/workers/session.py": 1}
