"""Resident memory of processes: peak of this process, total of a worker with its children, and a worker's limit.

Linux keeps a high-water mark of the resident set (VmHWM). Writing 5 to /proc/self/clear_refs resets it to the current
size (proc(5)). Where that is not allowed, `getrusage` returns the peak since the process started, which is meaningful
after the baseline only if it has grown since then.
"""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import psutil

from xibench.measure.machine import cgroup_limits

PROC: Final = Path("/proc/self")
VMSTAT: Final = Path("/proc/vmstat")
RESET: Final = "VmHWM, reset at the baseline through /proc/self/clear_refs"
SINCE_START: Final = "getrusage ru_maxrss, which cannot be reset; known only where it grew after the baseline"
SHARE: Final = 0.9  # of the memory that is available when a worker starts
CHILDREN_EVERY_S: Final = 1.0  # searching for children reads the whole process table


class HostPeak(msgspec.Struct, frozen=True):
    """Peak of the resident set in bytes; None if unknown, with the reason in `absent`."""

    peak_bytes: int | None
    absent: str | None


class HighWaterMark:
    """Peak of this process's resident set since the object was created.

    Attributes:
        method: How the peak is determined, for the record.
        baseline_bytes: Resident set when the object was created.
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._resettable = True
        try:
            (proc / "clear_refs").write_text("5")
            self._resettable = self.read().peak_bytes is not None  # some kernels do not report the mark
        except OSError:
            self._resettable = False
        self._start_bytes = 0 if self._resettable else _maxrss_bytes()
        self.method = RESET if self._resettable else SINCE_START
        self.baseline_bytes: int = psutil.Process().memory_info().rss

    def read(self) -> HostPeak:
        """Return the peak so far."""
        if self._resettable:
            status = (self._proc / "status").read_text(errors="replace")
            found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            return HostPeak(int(found[1]) * 1024 if found else None, None)
        peak_bytes = _maxrss_bytes()
        if peak_bytes > self._start_bytes:
            return HostPeak(peak_bytes, None)
        return HostPeak(None, "stayed below the peak of importing the framework, and the mark cannot be reset here")


def _maxrss_bytes() -> int:
    """Return ru_maxrss, which getrusage(2) counts in KiB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class ResidentSet:
    """Resident set of a process and all of its descendants.

    Args:
        pid: Id of the process.
        now: Returns the time in seconds.
    """

    def __init__(self, pid: int, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._searched_s = now()
        self._processes: list[psutil.Process] = []  # the process itself comes first; empty if it has exited already
        with contextlib.suppress(psutil.Error):
            self._processes = [psutil.Process(pid)]

    def total_bytes(self, quiet: bool) -> int:
        """Return the sum of the resident sets; 0 once all processes have exited.

        Args:
            quiet: Do not search for new children, because steps are being timed.
        """
        if self._processes and not quiet and self._now() - self._searched_s >= CHILDREN_EVERY_S:
            self._searched_s = self._now()
            with contextlib.suppress(psutil.Error):
                self._processes[1:] = self._processes[0].children(recursive=True)
        total = 0
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total


def worker_limit_bytes(requested: int | None, own: Path = PROC) -> int:
    """Return the resident set in bytes above which a worker counts as out of memory.

    Args:
        requested: The user's limit; None: 90 % of the memory that is available to the worker according to the kernel
            and to the control groups of this process (version 1 and 2), whichever is less.
        own: This process's folder in /proc.
    """
    if requested is not None:
        return requested
    available = psutil.virtual_memory().available
    left = cgroup_limits(own).memory_left_bytes
    return int(SHARE * max(0, available if left is None else min(available, left)))


def oom_kills(vmstat: Path = VMSTAT) -> int | None:
    """Return how many processes the kernel's out-of-memory killer has killed since boot; None if it is not reported."""
    try:
        found = re.search(r"^oom_kill (\d+)$", vmstat.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
