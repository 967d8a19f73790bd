"""Waiting for processes to start and end, with limits that only a hanging process reaches, even on a slow machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

GENEROUS_S = 1800.0
"""A time limit for processes that must end by themselves."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until a condition holds; fail after GENEROUS_S.

    Args:
        condition: The condition.
        what: What is false while the condition does not hold, for the message of the failure.
    """
    deadline = time.monotonic() + GENEROUS_S
    while not condition():
        assert time.monotonic() < deadline, f"time limit exceeded: {what}"
        time.sleep(0.05)


def wait_for_pids(pid_file: Path) -> list[int]:
    """Wait until a process has written process ids to a file, and return them."""
    wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), f"no process wrote {pid_file}")
    return [int(pid) for pid in pid_file.read_text().split()]


def wait_until_gone(*pids: int) -> None:
    """Wait until none of the processes runs. A zombie does not count as running."""
    wait_until(lambda: not any(map(_runs, pids)), f"one of {pids} still runs")


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
