"""Limits that control groups put on this process: CPU quotas and memory, of version 1 and 2.

A container with a quota of two cores sees all cores of its host, and is throttled once it has used its share of each
period (kernel documentation, admin-guide/cgroup-v2 "cpu.max", scheduler/sched-bwc).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OWN: Final = Path("/proc/self")
UNLIMITED_BYTES: Final = 1 << 60  # version 1 has no word for unlimited: its default is 2^63 rounded down to a page


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """The strictest limits of the groups that this process is in; None where no group sets one."""

    cpu_quota_cores: float | None  # CPU seconds per second of wall time
    memory_limit_bytes: int | None


def limits(own: Path = OWN) -> CgroupLimits:
    """Reads the limits of this process's groups and of all groups around them, as far as they are visible here.

    Args:
        own: the process's folder in /proc; its `cgroup` and `mountinfo` say where the groups are.
    """
    quotas: list[float | None] = []
    memory: list[int | None] = []
    for folder in _folders(own):
        quotas += [_quota_2(folder), _quota_1(folder)]
        memory += [_integer(folder / "memory.max"), _integer(folder / "memory.limit_in_bytes")]
    finite = [limit for limit in memory if limit is not None and limit < UNLIMITED_BYTES]
    known = [quota for quota in quotas if quota is not None]
    return CgroupLimits(min(known, default=None), min(finite, default=None))


def _folders(own: Path) -> Iterator[Path]:
    """The folder of each group that this process is in, and those around it up to where its hierarchy is mounted."""
    try:
        groups = [line.split(":", 2) for line in (own / "cgroup").read_text().splitlines()]
        mounts = (own / "mountinfo").read_text().splitlines()
    except OSError:  # no Linux, or a /proc that hides it
        return
    path_of = {name: path for _, names, path in groups for name in names.split(",")}  # version 2 has no name
    for mount in mounts:
        # 34 31 0:31 /root /mount/point options … - type source super-options; spaces in paths are \040
        where, _, kind = mount.partition(" - ")
        fields, (kind, _, options) = where.split(" "), kind.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        names = {""} if kind == "cgroup2" else set(options.split(","))
        path = next((path_of[name] for name in names & path_of.keys()), None)
        if path is not None:
            yield from _upwards(Path(_unescaped(fields[4])), _unescaped(fields[3]), path)


def _upwards(mounted: Path, root: str, path: str) -> list[Path]:
    """From the group at `path` to the mount point. root: the group that is mounted there.

    In a container the path may be the host's, of which only the mounted part is visible: then the mount point is the
    group.
    """
    inside = Path(path).relative_to(root) if Path(path).is_relative_to(root) and ".." not in path else Path()
    folder = mounted / inside
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mounted))]


def _quota_2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_1(folder: Path) -> float | None:
    quota, period = _integer(folder / "cpu.cfs_quota_us"), _integer(folder / "cpu.cfs_period_us")
    return quota / period if quota is not None and period and quota > 0 else None


def _integer(file: Path) -> int | None:
    """What the file holds; None where there is no such file, or the word `max`."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
