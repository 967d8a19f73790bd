"""Energy over a window: NVML's counter, NVML's power integrated, and RAPL's counters of the processor packages.

Whoever measures runs in another process than the work, so that reading disturbs it as little as can be. Nothing here
raises once the window has begun: what could not be read is None, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from xibench.measure.clock import Clock
from xibench.measure.nvml import Monitor, NoNvml

POWERCAP: Final = Path("/sys/class/powercap")
COUNTER_PERIOD_S: Final = 0.1  # NVML's counter and power are renewed about this often
MIN_WINDOW_S: Final = 10 * COUNTER_PERIOD_S  # shorter windows leave the GPU's energy unknown by more than a tenth


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy over the timed steps of one process, in joules; docs/method.md has the sources."""

    window_s: float  # from before the first timed step until after the last
    gpu_counter_joules: float | None  # NVML's total-energy counter, all cards that CUDA may use
    gpu_integrated_joules: float | None  # NVML's power readings, integrated over the window (trapezoids)
    gpu_power_samples: int  # readings that went into that
    cpu_package_joules: float | None  # RAPL, all packages
    absent: dict[str, str] = {}  # field -> why it is null


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Power while nothing of the run works, in watts."""

    window_s: float
    gpu_watts: float | None  # all cards: from the counter, or from power readings where there is none
    cpu_package_watts: float | None  # RAPL, all packages
    absent: dict[str, str] = {}  # field -> why it is null


class EnergyMeter:
    """Energy from `begin` until `end`. `sample` in between, about every 100 ms, gives the integral its readings."""

    def __init__(self, monitor: Monitor, clock: Clock, powercap: Path = POWERCAP) -> None:
        self._monitor = monitor
        self._clock = clock
        self._rapl = Rapl(powercap)
        self._began_s = clock.now()
        self._counter: float | NoNvml = NoNvml("the window was not begun")
        self._power: list[tuple[float, float]] = []  # moment in seconds, watts
        self._power_absent: str | None = None
        self.gpu = monitor.absent is None  # whether there is any card to sample

    def begin(self) -> None:
        """The window begins; what was read before is forgotten."""
        self._power, self._power_absent = [], None
        self._rapl.begin()
        self._counter = self._read_counter()
        self._began_s = self._clock.now()
        self.sample()

    def sample(self) -> None:
        """One more reading of the cards' power; RAPL's counters are read too, lest they wrap twice unseen."""
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
        """The window ends: what was used since `begin`."""
        self.sample()
        counter, window_s = self._read_counter(), self._clock.now() - self._began_s
        absent: dict[str, str] = {}
        return Energy(
            window_s=window_s,
            gpu_counter_joules=self._counted(counter, window_s, absent),
            gpu_integrated_joules=self._integrated(window_s, absent),
            gpu_power_samples=len(self._power),
            cpu_package_joules=self._rapl.joules(absent),
            absent=absent,
        )

    def _read_counter(self) -> float | NoNvml:
        try:
            return self._monitor.energy_joules()
        except NoNvml as error:
            return error

    def _counted(self, ended: float | NoNvml, window_s: float, absent: dict[str, str]) -> float | None:
        if isinstance(self._counter, NoNvml) or isinstance(ended, NoNvml):
            absent["gpu_counter_joules"] = str(self._counter if isinstance(self._counter, NoNvml) else ended)
            return None
        if window_s < MIN_WINDOW_S:
            absent["gpu_counter_joules"] = _short(window_s)
            return None
        if ended < self._counter:
            absent["gpu_counter_joules"] = "the counter went back: the driver was loaded anew within the window"
            return None
        return ended - self._counter

    def _integrated(self, window_s: float, absent: dict[str, str]) -> float | None:
        if self._power_absent is not None:
            absent["gpu_integrated_joules"] = self._power_absent
            return None
        if window_s < MIN_WINDOW_S:
            absent["gpu_integrated_joules"] = _short(window_s)
            return None
        return trapezoids(self._power)


@dataclass(slots=True)
class _Package:
    """One RAPL counter, in microjoules."""

    path: Path
    range_uj: int  # the counter starts from 0 again above this
    last_uj: int = 0
    used_uj: int = 0


@dataclass(slots=True)
class Rapl:
    """The processor packages' energy counters (Linux's powercap, driver intel_rapl, which serves AMD too)."""

    powercap: Path = POWERCAP
    _packages: list[_Package] = field(default_factory=list)
    _absent: str | None = None

    def begin(self) -> None:
        """Energy counts from here."""
        self._packages, self._absent = [], None
        try:
            self._packages = [_Package(zone, _number(zone / "max_energy_range_uj")) for zone in _zones(self.powercap)]
            for package in self._packages:
                package.last_uj = _number(package.path / "energy_uj")
        except PermissionError:
            self._absent = "RAPL's energy_uj may be read by root only; a rule for udev can open it to a group"
        except (OSError, ValueError) as error:
            self._absent = f"RAPL does not answer: {error}"
        if not self._packages and self._absent is None:
            self._absent = "the kernel shows no RAPL package; virtual machines have none"

    def sample(self) -> None:
        """Takes what was used since the last reading; a counter that has wrapped once in between is put right."""
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
        """Energy of all packages from `begin` until the last `sample`; None with the reason put into `absent`."""
        if self._absent is not None:
            absent["cpu_package_joules"] = self._absent
            return None
        return sum(package.used_uj for package in self._packages) / 1e6


def idle(meter: EnergyMeter, clock: Clock, window_s: float, every_s: float = COUNTER_PERIOD_S) -> Idle:
    """Power over a window in which the caller lets nothing work; takes `window_s`. Raises ValueError unless above 0."""
    if window_s <= 0:
        raise ValueError(f"power is measured over a window longer than 0 s, received {window_s}")
    meter.begin()
    began = clock.now()
    for n in range(1, int(window_s / every_s)):
        clock.wait_until(began + n * every_s)
        meter.sample()
    clock.wait_until(began + window_s)
    energy = meter.end()
    counted = energy.gpu_counter_joules
    gpu = energy.gpu_integrated_joules if counted is None else counted
    absent = {}
    if gpu is None:
        absent["gpu_watts"] = energy.absent["gpu_integrated_joules"]
    if energy.cpu_package_joules is None:
        absent["cpu_package_watts"] = energy.absent["cpu_package_joules"]
    return Idle(
        window_s=energy.window_s,
        gpu_watts=_watts(gpu, energy.window_s),
        cpu_package_watts=_watts(energy.cpu_package_joules, energy.window_s),
        absent=absent,
    )


def trapezoids(power: list[tuple[float, float]]) -> float:
    """Joules under readings of power, (moment in seconds, watts) each, in the order taken; 0 below two readings."""
    return sum((t1 - t0) * (w0 + w1) / 2 for (t0, w0), (t1, w1) in pairwise(power))


def _watts(joules: float | None, window_s: float) -> float | None:
    return None if joules is None else joules / window_s


def _short(window_s: float) -> str:
    return (
        f"the window of {window_s:.2f} s is short against the {COUNTER_PERIOD_S} s in which NVML renews its figures; "
        f"it takes {MIN_WINDOW_S:g} s"
    )


def _zones(powercap: Path) -> list[Path]:
    """Whole packages: not the `core`, `uncore` or `dram` within one, nor the platform's `psys`, which holds all."""
    return [zone for zone in sorted(powercap.glob("intel-rapl:*")) if (zone / "name").read_text().startswith("package")]


def _number(path: Path) -> int:
    return int(path.read_text())
