"""Waiting for processes to come and go, on a machine however slow: only what hangs reaches the limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

GENEROUS_S = 1800.0
"""A time limit for processes that must end by themselves."""


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Polls until it is true; fails, saying what was waited for, after GENEROUS_S."""
    deadline = time.monotonic() + GENEROUS_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def wait_for_pids(pid_file: Path) -> list[int]:
    """The process ids that a process writes into a file."""
    wait_until(lambda: pid_file.exists() and bool(pid_file.read_text()), f"no process wrote {pid_file}")
    return [int(pid) for pid in pid_file.read_text().split()]


def wait_until_gone(*pids: int) -> None:
    """Returns when none of them runs; one that nobody has waited for yet does not."""
    wait_until(lambda: not any(map(_runs, pids)), f"one of {pids} still runs")


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
