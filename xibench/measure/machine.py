"""What the kernel tells about the processor at one moment: time spent, clocks, throttling. Nothing is judged here."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
CPUS: Final = Path("/sys/devices/system/cpu")
_CPUINFO: Final = re.compile(r"^processor\s*:\s*(\d+)$.*?^cpu MHz\s*:\s*([\d.]+)$", re.MULTILINE | re.DOTALL)


class NotReported(Exception):
    """The kernel does not report this here; the message says why."""


@dataclass(frozen=True, slots=True)
class CoreTime:
    """Seconds of the usable cores together since boot, and the run's own part since an arbitrary moment."""

    busy_s: float  # anything but idle, waiting for a disk, and stolen
    stolen_s: float  # the hypervisor ran something else
    own_s: float  # CPU time of this process and of all below it


def own_cpu_s() -> float:
    """CPU time of this process, of its children that have ended and of those alive, with what is below them.

    A process that outlived its parent without being waited for is lost to this count.
    """
    import psutil  # the record's types are defined beside this: reading a run file need not load it

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


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may run on."""
    return tuple(sorted(os.sched_getaffinity(0)))


def move_to(core: int) -> None:
    """Moves the calling thread to one of the usable cores. It may leave again: threads started later go anywhere.

    The kernel leaves a busy thread where it is unless another wants that core, so this decides for a while which core
    does what only one thread can do. Raises OSError for a core that is not usable.
    """
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    os.sched_setaffinity(0, usable)


@dataclass(frozen=True, slots=True)
class Machine:
    """The files in which the kernel reports on the machine; tests use others. Its methods raise NotReported."""

    proc: Path = PROC
    cpus: Path = CPUS
    cores: Sequence[int] = field(default_factory=usable_cores)
    own_cpu_s: Callable[[], float] = own_cpu_s
    tick_s: float = field(default_factory=lambda: 1 / os.sysconf("SC_CLK_TCK"))  # unit of /proc/stat

    def core_time(self) -> CoreTime:
        """From /proc/stat (proc_stat(5)): user, nice, system, irq and softirq are busy; guests are within user."""
        lines = re.findall(r"^cpu(\d+) (.*)$", _text(self.proc / "stat"), re.MULTILINE)
        ticks = {int(core): [int(value) for value in values.split()] for core, values in lines}
        missing = [core for core in self.cores if len(ticks.get(core, ())) < 8]
        if missing:
            raise NotReported(f"/proc/stat has no times of core {missing[0]}")
        busy = sum(sum(ticks[core][column] for column in (0, 1, 2, 5, 6)) for core in self.cores)
        stolen = sum(ticks[core][7] for core in self.cores)
        return CoreTime(busy * self.tick_s, stolen * self.tick_s, self.own_cpu_s())

    def load_1m(self) -> float:
        """Runnable processes, mean over a minute."""
        return float(_text(self.proc / "loadavg").split()[0])

    def cpu_hz(self) -> float:
        """Clock now, mean over the usable cores: cpufreq's scaling_cur_freq, or what /proc/cpuinfo says."""
        try:
            clocks = [1e3 * float(_text(self._cpufreq(core, "scaling_cur_freq"))) for core in self.cores]  # kHz
        except NotReported:
            found = _CPUINFO.findall(_text(self.proc / "cpuinfo"))
            by_core = {int(core): 1e6 * float(mhz) for core, mhz in found}
            clocks = [by_core[core] for core in self.cores if core in by_core]
        if not clocks:
            raise NotReported("neither cpufreq nor /proc/cpuinfo reports the clock")
        return sum(clocks) / len(clocks)

    def governor(self) -> str:
        """Governor of cpufreq for the usable cores; several are joined by commas."""
        if not any(self._cpufreq(core, "scaling_governor").exists() for core in self.cores):
            raise NotReported("there is no cpufreq here: the hypervisor or the firmware sets the clock")
        return ",".join(sorted({_text(self._cpufreq(core, "scaling_governor")).strip() for core in self.cores}))

    def throttle_count(self) -> int:
        """Thermal events since boot: those of each usable core and of the packages as each of them counts them."""
        folders = [self.cpus / f"cpu{core}" / "thermal_throttle" for core in self.cores]
        counts = [count for folder in folders for count in folder.glob("*_throttle_count")]
        if not counts:
            raise NotReported("the kernel counts no thermal events of this processor")
        return sum(int(_text(count)) for count in counts)

    def _cpufreq(self, core: int, name: str) -> Path:
        return self.cpus / f"cpu{core}" / "cpufreq" / name


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise NotReported(f"{path} cannot be read: {error.strerror}") from None
