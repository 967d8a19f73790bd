"""The machine's conditions before, after and while a worker process runs.

The types are part of the record. What is not known is None, with the reason in `absent`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Final, TypeVar

import msgspec

from xibench.measure.clock import Clock
from xibench.measure.machine import CoreTime, Machine, NotReported
from xibench.measure.nvml import Monitor, Reading

Value = TypeVar("Value")

NOT_SAMPLED: Final = "it was not read while the process ran"


class GpuConditions(msgspec.Struct, frozen=True):
    """One NVIDIA card at one moment, or over a process: medians, every throttle reason, the highest temperature."""

    index: int
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    throttle_reasons: list[str] | None  # NVML's names; idle is not among them
    temperature_celsius: float | None
    power_watts: float | None
    power_limit_watts: float | None
    foreign_processes: int | None  # that compute on the card and are not the run's
    absent: dict[str, str] = {}  # field -> why it is null


class Conditions(msgspec.Struct, frozen=True):
    """The machine at one moment, while nothing of the run works."""

    taken_utc: str
    load_1m: float | None  # runnable processes, mean over a minute; the run's own are in it
    others_share: float | None  # share of the usable cores' time that others took, over a short window
    steal_share: float | None  # share that the hypervisor took away, over the same window
    cpu_hz: float | None  # mean over the usable cores
    governor: str | None
    throttle_count: int | None  # thermal events since boot, all usable cores
    gpus: list[GpuConditions]
    absent: dict[str, str] = {}  # field -> why it is null or empty


class During(msgspec.Struct, frozen=True):
    """The machine's conditions while a process ran."""

    wall_s: float
    others_share: float | None  # share of the usable cores' time that programs outside the run took
    steal_share: float | None  # share that the hypervisor took away
    cpu_hz: float | None  # median of the samples
    gpus: list[GpuConditions]  # of the samples
    absent: dict[str, str]

    @property
    def clocks(self) -> ClockRates:
        """The clock rates alone, to compare with those of the run's other processes."""
        return ClockRates(self.cpu_hz, {gpu.index: gpu.sm_clock_hz for gpu in self.gpus if gpu.sm_clock_hz is not None})


@dataclass(frozen=True, slots=True)
class ClockRates:
    """Clock rates of the processor and of each card while one process ran."""

    cpu_hz: float | None
    sm_hz: dict[int, float] = field(default_factory=dict)  # by the card's index


def read(
    watch_s: float, monitor: Monitor, clock: Clock, machine: Machine | None = None, own: Collection[int] = ()
) -> Conditions:
    """Read the machine's conditions now, while nothing of the run works.

    Args:
        watch_s: How long this takes: the shares of the cores' time are measured over it (0: they stay None).
        monitor: The NVIDIA cards.
        clock: Times the shares.
        machine: Where the kernel reports; None: this machine.
        own: Ids of the run's processes, which are not foreign on a card.
    """
    machine = machine or Machine()
    absent: dict[str, str] = {}
    shares = _Shares(clock, machine)
    if watch_s > 0:
        clock.wait_until(clock.now() + watch_s)
    others, steal = shares.until_now(absent)
    gpus = [_gpu([reading]) for reading in monitor.read(own)]
    if not gpus:
        absent["gpus"] = monitor.absent or "NVML lists no card"
    return Conditions(
        taken_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        load_1m=_asked("load_1m", machine.load_1m, absent),
        others_share=others,
        steal_share=steal,
        cpu_hz=_asked("cpu_hz", machine.cpu_hz, absent),
        governor=_asked("governor", machine.governor, absent),
        throttle_count=_asked("throttle_count", machine.throttle_count, absent),
        gpus=gpus,
        absent=absent,
    )


class ConditionSampler:
    """Samples the conditions while a worker runs: created before it starts, ended once it has ended.

    Call `sample` while the worker times its steps. Clock rates are sampled then instead of before and after, because an
    idle processor or card lowers its clocks.
    """

    def __init__(self, monitor: Monitor, clock: Clock, machine: Machine | None = None) -> None:
        self._monitor = monitor
        self._clock = clock
        self._machine = machine or Machine()
        self._absent: dict[str, str] = {}
        self._cpu_hz: list[float] = []
        self._readings: dict[int, list[Reading]] = {}
        self._began_s = clock.now()
        self._shares = _Shares(clock, self._machine)

    def sample(self, own: Collection[int] = ()) -> None:
        """Read clock rates, throttle reasons and temperature; takes about a millisecond. own: as in `read`."""
        cpu_hz = _asked("cpu_hz", self._machine.cpu_hz, self._absent)
        if cpu_hz is not None:
            self._cpu_hz.append(cpu_hz)
        for reading in self._monitor.read(own):
            self._readings.setdefault(reading.index, []).append(reading)

    def end(self) -> During:
        """Return the conditions since the object was created."""
        absent = dict(self._absent)
        others, steal = self._shares.until_now(absent)
        gpus = [_gpu(readings) for readings in self._readings.values()]
        if self._cpu_hz:
            absent.pop("cpu_hz", None)
        else:
            absent.setdefault("cpu_hz", NOT_SAMPLED)
        if not gpus:
            absent["gpus"] = self._monitor.absent or NOT_SAMPLED
        return During(
            wall_s=self._clock.now() - self._began_s,
            others_share=others,
            steal_share=steal,
            cpu_hz=median(self._cpu_hz) if self._cpu_hz else None,
            gpus=gpus,
            absent=absent,
        )


class _Shares:
    """Shares of the usable cores' time since the object was created."""

    def __init__(self, clock: Clock, machine: Machine) -> None:
        self._clock = clock
        self._machine = machine
        self._began_s = clock.now()
        self._then: CoreTime | NotReported = _core_time(machine)

    def until_now(self, absent: dict[str, str]) -> tuple[float | None, float | None]:
        """Others' and the hypervisor's share; None with the reason in `absent` if not reported."""
        now, then = _core_time(self._machine), self._then
        window_s = (self._clock.now() - self._began_s) * len(self._machine.cores)
        if isinstance(now, NotReported) or isinstance(then, NotReported):
            reason = str(now if isinstance(now, NotReported) else then)
        elif window_s < 10 * self._machine.tick_s:
            reason = "the window is too short: the kernel counts such time in ticks, and it takes ten"
        else:
            others_s = now.busy_s - then.busy_s - (now.own_s - then.own_s)
            return _share(others_s, window_s), _share(now.stolen_s - then.stolen_s, window_s)
        absent["others_share"] = absent["steal_share"] = reason
        return None, None


def _core_time(machine: Machine) -> CoreTime | NotReported:
    try:
        return machine.core_time()
    except NotReported as error:
        return error


def _share(part_s: float, window_s: float) -> float:
    """Clip to 0 … 1: the kernel's ticks and its per-process accounting differ by up to a per cent."""
    return min(1.0, max(0.0, part_s / window_s))


def _asked(name: str, ask: Callable[[], Value], absent: dict[str, str]) -> Value | None:
    try:
        return ask()
    except NotReported as error:
        absent[name] = str(error)
        return None


def _gpu(readings: Sequence[Reading]) -> GpuConditions:
    """One card over its readings, at least one. A field that any of them knows is known."""
    reasons = [reading.throttle_reasons for reading in readings if reading.throttle_reasons is not None]
    gpu = GpuConditions(
        index=readings[0].index,
        sm_clock_hz=_over(median, [reading.sm_clock_hz for reading in readings]),
        memory_clock_hz=_over(median, [reading.memory_clock_hz for reading in readings]),
        throttle_reasons=list(dict.fromkeys(name for names in reasons for name in names)) if reasons else None,
        temperature_celsius=_over(max, [reading.temperature_celsius for reading in readings]),
        power_watts=_over(median, [reading.power_watts for reading in readings]),
        power_limit_watts=_over(min, [reading.power_limit_watts for reading in readings]),
        foreign_processes=_over(max, [reading.foreign_processes for reading in readings]),
        absent={},
    )
    for reading in readings:
        gpu.absent.update({name: why for name, why in reading.absent.items() if getattr(gpu, name, 0) is None})
    return gpu


def _over(summary: Callable[[list[Value]], Value], values: Sequence[Value | None]) -> Value | None:
    known = [value for value in values if value is not None]
    return summary(known) if known else None
