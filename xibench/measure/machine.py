"""Facts that the Linux kernel reports about the machine: processor time, clocks, throttling, caches, cgroup limits."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

PROC: Final = Path("/proc")
CPUS: Final = Path("/sys/devices/system/cpu")
MAX_BUFFERS: Final = 8
UNLIMITED_BYTES: Final = 1 << 60  # cgroup v1 writes "no limit" as 2^63 rounded down to a page
MEMORY_FILES: Final = (  # limit, usage and the reclaimable part of the usage in memory.stat: cgroup v2, then v1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
WIDEST: Final = (("amx_tile", "AMX"), ("avx512f", "AVX512"), ("avx2", "AVX2"), ("sve", "SVE"), ("asimd", "NEON"))
"""Vector and matrix extensions by the flag that reports them, widest first."""
_CPUINFO: Final = re.compile(r"^processor\s*:\s*(\d+)$.*?^cpu MHz\s*:\s*([\d.]+)$", re.MULTILINE | re.DOTALL)
_CACHE: Final = re.compile(r"(?:Data|Unified) (\d+) (\S+) (\d+)([KMG]?)")
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


class NotReported(Exception):
    """The kernel does not report a value; the message is the reason."""


class CoreTime(msgspec.Struct, frozen=True):
    """Seconds of all usable cores together since boot, and the run's own CPU time since an arbitrary moment."""

    busy_s: float  # neither idle nor waiting for I/O nor stolen
    stolen_s: float  # the hypervisor ran another virtual machine
    own_s: float  # CPU time of this process and its descendants


def own_cpu_s() -> float:
    """Return the CPU time in seconds of this process, its terminated children and its living descendants.

    A process that outlived its parent without being waited for is missing from the sum.
    """
    import psutil  # imported here because the types of the record depend on this module

    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def others_cpu_s() -> dict[tuple[int, str], float]:
    """Return the CPU time in seconds of every visible process outside the run, by its id and name."""
    import psutil

    own = psutil.Process()
    run = {own.pid, *(child.pid for child in own.children(recursive=True))}
    found = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]  # None where the kernel does not permit reading them
        if times is not None and process.pid not in run:
            found[process.pid, process.info["name"] or "?"] = times.user + times.system
    return found


def plain_model(cpu_model: str) -> str:
    """Return a processor's name without trademarks, clock rate and number of cores."""
    return re.sub(r"\((?:r|tm|c)\)|@.*|\b(?:cpu|processor)\b|\b\d+-core\b", " ", cpu_model, flags=re.IGNORECASE)


def distinguishing_extension(cpu_model: str, cpu_flags: Sequence[str]) -> str:
    """Return the widest vector or matrix extension of a processor whose name has no number; otherwise nothing.

    Virtual machines hide the number, and processors of very different speed then share one name.
    """
    if re.search(r"\d", plain_model(cpu_model)):
        return ""
    return next((name for flag, name in WIDEST if flag in cpu_flags), "")


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may run on, ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))


def move_to(core: int) -> None:
    """Move the calling thread to a core without pinning it there.

    The kernel leaves a busy thread where it is unless another thread needs that core. For a while, this therefore
    decides on which core single-threaded work runs. Threads that are started later may run anywhere.

    Raises:
        OSError: The core is not usable.
    """
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    os.sched_setaffinity(0, usable)


class Machine(msgspec.Struct, frozen=True):
    """Reader of the kernel's files about the processor. All methods raise NotReported if a value is not available.

    Attributes:
        proc: Mount point of procfs.
        cpus: Folder in sysfs with one folder per core.
        cores: Numbers of the usable cores.
        own_cpu_s: Returns the CPU time of the run's own processes in seconds.
        tick_s: Unit of /proc/stat in seconds.
        others_cpu_s: Returns the CPU time of each process outside the run in seconds, by its id and name.
    """

    proc: Path = PROC
    cpus: Path = CPUS
    cores: Sequence[int] = msgspec.field(default_factory=usable_cores)
    own_cpu_s: Callable[[], float] = own_cpu_s
    tick_s: float = msgspec.field(default_factory=lambda: 1 / os.sysconf("SC_CLK_TCK"))
    others_cpu_s: Callable[[], dict[tuple[int, str], float]] = others_cpu_s

    def core_time(self) -> CoreTime:
        """Read /proc/stat (see proc_stat(5)).

        User, nice, system, irq and softirq time count as busy; user time includes the time of guests.
        """
        lines = re.findall(r"^cpu(\d+) (.*)$", _text(self.proc / "stat"), re.MULTILINE)
        ticks = {int(core): [int(value) for value in values.split()] for core, values in lines}
        missing = [core for core in self.cores if len(ticks.get(core, ())) < 8]
        if missing:
            raise NotReported(f"/proc/stat has no times of core {missing[0]}")
        busy = sum(sum(ticks[core][column] for column in (0, 1, 2, 5, 6)) for core in self.cores)
        stolen = sum(ticks[core][7] for core in self.cores)
        return CoreTime(busy * self.tick_s, stolen * self.tick_s, self.own_cpu_s())

    def load_1m(self) -> float:
        """Return the load average over one minute: the mean number of runnable processes."""
        return float(_text(self.proc / "loadavg").split()[0])

    def cpu_hz(self) -> float:
        """Return the current clock rate in Hz, mean over the usable cores, from cpufreq or else /proc/cpuinfo."""
        try:
            files = [self.cpus / f"cpu{core}" / "cpufreq" / "scaling_cur_freq" for core in self.cores]
            clocks = [1e3 * float(_text(file)) for file in files]  # cpufreq counts kHz
        except NotReported:
            found = _CPUINFO.findall(_text(self.proc / "cpuinfo"))
            by_core = {int(core): 1e6 * float(mhz) for core, mhz in found}
            clocks = [by_core[core] for core in self.cores if core in by_core]
        if not clocks:
            raise NotReported("neither cpufreq nor /proc/cpuinfo reports the clock")
        return sum(clocks) / len(clocks)

    def governor(self) -> str:
        """Return the cpufreq governor of the usable cores; different ones are joined by commas."""
        files = [self.cpus / f"cpu{core}" / "cpufreq" / "scaling_governor" for core in self.cores]
        if not any(file.exists() for file in files):
            raise NotReported("there is no cpufreq here: the hypervisor or the firmware sets the clock")
        return ",".join(sorted({_text(file).strip() for file in files}))

    def throttle_count(self) -> int:
        """Return the thermal events since boot: the sum of the core and package counters of every usable core."""
        folders = [self.cpus / f"cpu{core}" / "thermal_throttle" for core in self.cores]
        counts = [count for folder in folders for count in folder.glob("*_throttle_count")]
        if not counts:
            raise NotReported("the kernel counts no thermal events of this processor")
        return sum(int(_text(count)) for count in counts)


def last_level_cache_bytes(cpus: Path = CPUS, cores: Collection[int] | None = None) -> int | None:
    """Return the total size of the last-level caches that the usable cores reach.

    Args:
        cpus: Folder in sysfs with one folder per core.
        cores: Numbers of the cores; None: those in this process's affinity mask.

    Returns:
        Bytes; a cache that several cores share counts once. None if the kernel does not describe the caches.
    """
    sizes: dict[tuple[int, str], int] = {}
    for core in usable_cores() if cores is None else cores:
        caches = []
        for index in (cpus / f"cpu{core}" / "cache").glob("index*"):
            words = [word for name in ("type", "level", "shared_cpu_list", "size") for word in _words(index / name)]
            described = _CACHE.fullmatch(" ".join(words))  # not an instruction cache
            if described:
                level, shared_by, size, unit = described.groups()
                caches.append((int(level), shared_by, int(size) * _UNITS[unit]))
        if not caches:
            return None
        last_level, sharing_cores, size_bytes = max(caches)
        sizes[(last_level, sharing_cores)] = size_bytes
    return sum(sizes.values()) or None


def buffers_needed(batch_bytes: int, cache_bytes: int | None, max_buffers: int = MAX_BUFFERS) -> int:
    """Return how many copies of a batch to rotate so that no step finds its input in the cache.

    Args:
        batch_bytes: Size of one copy.
        cache_bytes: Size of the last-level cache; None if unknown.
        max_buffers: Upper limit. Copies cost memory, and a small copy is also evicted by the data that a network's
            step itself reads and writes between two uses of it.

    Returns:
        1 if a single batch does not fit in the cache or the cache is unknown; otherwise the number of copies of which
        all but one fill the cache, at most `max_buffers`.
    """
    if cache_bytes is None or batch_bytes <= 0 or batch_bytes > cache_bytes:
        return 1
    return max(1, min(max_buffers, -(-cache_bytes // batch_bytes) + 1))


class CgroupLimits(msgspec.Struct, frozen=True):
    """The strictest limits of this process's control groups and their ancestors; None if no group sets one."""

    cpu_quota_cores: float | None  # CPU seconds per second of wall time
    memory_limit_bytes: int | None
    memory_left_bytes: int | None = None  # until the first limit is reached; reclaimable file cache counts as free


def cgroup_limits(own: Path = PROC / "self") -> CgroupLimits:
    """Read the CPU quotas and memory limits of control groups, version 1 and 2.

    A container with a quota of two cores sees all cores of its host and is throttled once it has used its share of each
    period (kernel documentation: admin-guide/cgroup-v2 "cpu.max", scheduler/sched-bwc).

    Args:
        own: This process's folder in /proc, whose `cgroup` and `mountinfo` locate its groups.
    """
    quotas, limits, left = [], [], []
    for folder in _cgroup_folders(own):
        # Version 2 has quota and period in one file, with quota "max" if unlimited; version 1 in two, with -1.
        cpu = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        if len(cpu) == 2 and all(word.isdecimal() for word in cpu) and int(cpu[1]) > 0:
            quotas.append(int(cpu[0]) / int(cpu[1]))
        for limit_file, usage_file, reclaimable in MEMORY_FILES:
            limit, usage = _words(folder / limit_file), _words(folder / usage_file)
            if not limit or not limit[0].isdecimal() or int(limit[0]) >= UNLIMITED_BYTES:
                continue
            limits.append(int(limit[0]))
            if usage:
                stat = _words(folder / "memory.stat")  # name value name value …
                cache_bytes = int(stat[stat.index(reclaimable) + 1]) if reclaimable in stat else 0
                left.append(int(limit[0]) - (int(usage[0]) - cache_bytes))
    return CgroupLimits(min(quotas, default=None), min(limits, default=None), min(left, default=None))


def _cgroup_folders(own: Path) -> Iterator[Path]:
    """Yield the folder of each control group that a process is in, and its ancestors up to the mount point."""
    try:
        groups = [line.split(":", 2) for line in (own / "cgroup").read_text(errors="surrogateescape").splitlines()]
        mounts = (own / "mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return
    path_of = {name: path for _, names, path in groups for name in names.split(",")}  # version 2 has an empty name
    for mount in mounts:
        # 34 31 0:31 /root /mount/point options … - type source super-options
        left, _, right = mount.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        names = {""} if kind == "cgroup2" else set(options.split(","))
        path = next((path_of[name] for name in names & path_of.keys()), None)
        if path is None:
            continue
        # Spaces in paths are written \040. In a container the path may be the host's, of which only a part is
        # mounted: then the mount point is the group.
        root, point = (
            re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text) for text in left.split(" ")[3:5]
        )
        visible = Path(path).is_relative_to(root) and ".." not in path
        folder = Path(point) / Path(path).relative_to(root) if visible else Path(point)
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(point))


def _text(path: Path) -> str:
    """Read a file; raise NotReported with the reason if that fails."""
    try:
        return path.read_text()
    except OSError as error:
        raise NotReported(f"{path} cannot be read: {error.strerror}") from None


def _words(path: Path) -> list[str]:
    """Return the words of a file; empty if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []
