"""Energy over a window: NVML's counter, the integral of NVML's power readings, and RAPL's counters per CPU package.

The meter runs in another process than the work that it measures, to disturb it as little as possible. Nothing here
raises once the window has begun: a value that cannot be read is None, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from xibench.measure.loop import Clock
from xibench.measure.nvml import Monitor, NoNvml

SAME_COUNTER_UJ: Final = 1_000_000
"""Two counters of a package that are closer than this, after counting since the machine started, are one counter."""
POWERCAP: Final = Path("/sys/class/powercap")
COUNTER_PERIOD_S: Final = 0.1  # approximate interval at which NVML updates its counter and power reading
MIN_WINDOW_S: Final = 10 * COUNTER_PERIOD_S  # the energy over a shorter window is uncertain by more than 10 %


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy over the timed steps of one process, in joules; docs/method.md has the sources."""

    window_s: float  # from before the first timed step until after the last
    gpu_counter_joules: float | None  # NVML's total energy counter, all GPUs that CUDA may use
    gpu_integrated_joules: float | None  # NVML's power readings, integrated over the window (trapezoids)
    gpu_power_samples: int  # number of readings in the integral
    cpu_package_joules: float | None  # RAPL, all packages
    absent: dict[str, str] = {}  # field -> why it is null


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Power in watts while no process of the run is working."""

    window_s: float
    gpu_watts: float | None  # all GPUs: from the counter, or from power readings if there is none
    cpu_package_watts: float | None  # RAPL, all packages
    absent: dict[str, str] = {}  # field -> why it is null


class EnergyMeter:
    """Measures the energy between `begin` and `end`.

    Call `sample` in between, about every 100 ms, to provide readings for the integral of power.

    Args:
        monitor: The GPUs.
        clock: Times the window and the readings.
        powercap: The powercap folder in sysfs.

    Attributes:
        gpu: Whether there is a GPU to sample.
    """

    def __init__(self, monitor: Monitor, clock: Clock, powercap: Path = POWERCAP) -> None:
        self._monitor = monitor
        self._clock = clock
        self._rapl = Rapl(powercap)
        self._began_s = clock.now()
        self._counter_joules: float | str = "the window was not begun"  # at the start, or why it is unknown
        self._power: list[tuple[float, float]] = []  # moment in seconds, watts
        self._power_absent: str | None = None
        self.gpu = monitor.absent is None

    def begin(self) -> None:
        """Start the window and discard earlier readings."""
        self._power, self._power_absent = [], self._monitor.absent
        self._rapl.begin()
        self._counter_joules = self._read_counter()
        self._began_s = self._clock.now()
        self.sample()

    def sample(self) -> None:
        """Read the GPUs' power, and RAPL's counters too, because they must not wrap twice between two readings."""
        self._rapl.sample()
        if self._power_absent is not None:
            return
        try:
            watts = self._monitor.power_watts()
        except NoNvml as error:
            self._power_absent = str(error)
            return
        self._power.append((self._clock.now(), watts))

    def end(self) -> Energy:
        """End the window and return the energy since `begin`."""
        self.sample()
        start, end = self._counter_joules, self._read_counter()
        window_s = self._clock.now() - self._began_s
        absent: dict[str, str] = {}
        too_short = None
        if window_s < MIN_WINDOW_S:
            too_short = (
                f"the window of {window_s:.2f} s is short against the {COUNTER_PERIOD_S} s in which NVML renews its "
                f"figures; it takes {MIN_WINDOW_S:g} s"
            )

        # NVML's energy counter.
        counted = None
        if isinstance(start, str):
            absent["gpu_counter_joules"] = start
        elif isinstance(end, str):
            absent["gpu_counter_joules"] = end
        elif too_short is not None:
            absent["gpu_counter_joules"] = too_short
        elif end < start:
            absent["gpu_counter_joules"] = "the counter went back: the driver was loaded anew within the window"
        else:
            counted = end - start

        # The integral of NVML's power readings.
        integrated = None
        unknown = self._power_absent or too_short
        if unknown is not None:
            absent["gpu_integrated_joules"] = unknown
        else:
            integrated = trapezoids(self._power)

        return Energy(
            window_s=window_s,
            gpu_counter_joules=counted,
            gpu_integrated_joules=integrated,
            gpu_power_samples=len(self._power),
            cpu_package_joules=self._rapl.joules(absent),
            absent=absent,
        )

    def _read_counter(self) -> float | str:
        """Return the GPUs' energy counter in joules, or the reason why it cannot be read."""
        if self._monitor.absent is not None:
            return self._monitor.absent
        try:
            return self._monitor.energy_joules()
        except NoNvml as error:
            return str(error)


@dataclass(slots=True)
class _Package:
    """One RAPL counter, in microjoules."""

    path: Path
    name: str  # of the package, without the die
    range_uj: int  # the counter restarts from 0 above this
    last_uj: int = 0
    used_uj: int = 0


@dataclass(slots=True)
class Rapl:
    """Energy counters of the processor packages (Linux powercap with the driver intel_rapl, which supports AMD too)."""

    powercap: Path = POWERCAP
    _packages: list[_Package] = field(default_factory=list)
    _absent: str | None = None

    def begin(self) -> None:
        """Start to count energy."""
        self._packages, self._absent = [], None
        try:
            for zone in sorted(self.powercap.glob("intel-rapl:*")):
                # Neither the domains core, uncore and dram of a package nor the platform's psys, which holds all.
                name = (zone / "name").read_text().strip().partition("-die-")[0]
                if not name.startswith("package"):
                    continue

                # The dies of the first Zen generations show one counter under several names; it is counted once.
                now_uj = _number(zone / "energy_uj")
                others = [package for package in self._packages if package.name == name]
                if all(abs(other.last_uj - now_uj) > SAME_COUNTER_UJ for other in others):
                    range_uj = _number(zone / "max_energy_range_uj")
                    self._packages.append(_Package(zone, name, range_uj, last_uj=now_uj))
        except PermissionError:
            self._absent = "RAPL's energy_uj may be read by root only; a rule for udev can open it to a group"
        except (OSError, ValueError) as error:
            self._absent = f"RAPL does not answer: {error}"
        if not self._packages and self._absent is None:
            self._absent = "the kernel shows no RAPL package; virtual machines have none"

    def sample(self) -> None:
        """Add the energy used since the last reading; corrects a counter that has wrapped once in between."""
        if self._absent is not None:
            return
        try:
            for package in self._packages:
                now_uj = _number(package.path / "energy_uj")
                used = now_uj - package.last_uj
                package.used_uj += used if used >= 0 else used + package.range_uj
                package.last_uj = now_uj
        except (OSError, ValueError) as error:
            self._absent = f"RAPL does not answer: {error}"

    def joules(self, absent: dict[str, str]) -> float | None:
        """Return the energy of all packages from `begin` until the last `sample`; None with the reason in `absent`."""
        if self._absent is not None:
            absent["cpu_package_joules"] = self._absent
            return None
        return sum(package.used_uj for package in self._packages) / 1e6


def idle(meter: EnergyMeter, clock: Clock, window_s: float, every_s: float = COUNTER_PERIOD_S) -> Idle:
    """Measure power over a window during which the caller keeps the machine idle.

    Args:
        meter: Measures the energy over the window.
        clock: Times the window.
        window_s: Length of the window in seconds; the call takes that long.
        every_s: Interval of the samples in seconds.

    Raises:
        ValueError: The window is not longer than 0 s.
    """
    if window_s <= 0:
        raise ValueError(f"power is measured over a window longer than 0 s, received {window_s}")
    meter.begin()
    began = clock.now()
    for n in range(1, int(window_s / every_s)):
        clock.wait_until(began + n * every_s)
        meter.sample()
    clock.wait_until(began + window_s)
    energy = meter.end()

    # The counter is preferred over the integral of power readings.
    absent = {}
    gpu, cpu = energy.gpu_counter_joules, energy.cpu_package_joules
    if gpu is None:
        gpu = energy.gpu_integrated_joules
    if gpu is None:
        absent["gpu_watts"] = energy.absent["gpu_integrated_joules"]
    if cpu is None:
        absent["cpu_package_watts"] = energy.absent["cpu_package_joules"]
    return Idle(
        window_s=energy.window_s,
        gpu_watts=None if gpu is None else gpu / energy.window_s,
        cpu_package_watts=None if cpu is None else cpu / energy.window_s,
        absent=absent,
    )


def trapezoids(power: list[tuple[float, float]]) -> float:
    """Integrate power readings, (moment in seconds, watts) in the order taken, to joules; 0 for fewer than two."""
    return sum((t1 - t0) * (w0 + w1) / 2 for (t0, w0), (t1, w1) in pairwise(power))


def _number(path: Path) -> int:
    """Read a file that contains one integer."""
    return int(path.read_text())
