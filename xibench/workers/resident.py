"""How much memory a worker may take, and how much it holds together with its children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

SHARE: Final = 0.9  # of the memory that is available when a worker starts
CHILDREN_EVERY_S: Final = 1.0  # finding them reads the whole process table
CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")
VMSTAT: Final = Path("/proc/vmstat")


def limit_bytes(asked: int | None, cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """The resident set at which a worker counts as out of memory: what was asked for, else 90 % of what is available.

    Available is what the kernel says, or what the limits of this process's control group (version 2) and of those that
    it lies in leave, if less.
    """
    if asked is not None:
        return asked
    available = psutil.virtual_memory().available
    for group in _groups(cgroups, own):
        with contextlib.suppress(OSError, ValueError):  # no such group, or `max`: no limit
            available = min(available, int((group / "memory.max").read_text()) - _held_bytes(group))
    return int(SHARE * max(available, 0))


def oom_kills(vmstat: Path = VMSTAT) -> int | None:
    """How many processes the kernel's out-of-memory killer has ended since boot; None where it does not tell."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _groups(cgroups: Path, own: Path) -> list[Path]:
    """This process's control group of version 2 and those that it lies in, up to the root of the mount."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    inside = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    path = cgroups / inside if ".." not in inside else cgroups  # it lies outside of what this container sees
    return [path, *(parent for parent in path.parents if parent.is_relative_to(cgroups))]


def _held_bytes(cgroup: Path) -> int:
    """What the group holds; the file cache is given back when it is needed and does not count."""
    stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    return int((cgroup / "memory.current").read_text()) - int(stat.get("inactive_file", 0))


class Resident:
    """The resident set of a process and all its children."""

    def __init__(self, pid: int, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._searched_s = now()
        self._children: list[psutil.Process] = []
        try:
            self._worker: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:  # gone already
            self._worker = None

    def bytes_held(self, quiet: bool) -> int:
        """Their resident sets added up, 0 once all are gone. quiet: no new children are looked for."""
        if self._worker is None:
            return 0
        if not quiet and self._now() - self._searched_s >= CHILDREN_EVERY_S:
            self._children = _children(self._worker)
            self._searched_s = self._now()
        return sum(map(_resident, (self._worker, *self._children)))


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
