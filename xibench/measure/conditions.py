"""The machine's conditions before, while and after a worker process runs, and whether they disturbed it.

The types are part of the record. A value that is unknown is None, with the reason in `absent`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Final, Protocol, TypeVar

import msgspec

from xibench.measure.loop import Clock
from xibench.measure.machine import CoreTime, Machine, NotReported
from xibench.measure.nvml import Monitor, Reading

Value = TypeVar("Value")

NOT_SAMPLED: Final = "it was not read while the process ran"
THROTTLED: Final = ("SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")


class GpuConditions(msgspec.Struct, frozen=True):
    """One NVIDIA GPU at one moment, or over a process: medians, every throttle reason, the highest temperature."""

    index: int
    sm_clock_hz: float | None
    memory_clock_hz: float | None
    throttle_reasons: list[str] | None  # NVML's names, without "idle"
    temperature_celsius: float | None
    power_watts: float | None
    power_limit_watts: float | None
    foreign_processes: int | None  # compute processes on the GPU that do not belong to the run
    absent: dict[str, str] = {}  # field -> why it is null


class Conditions(msgspec.Struct, frozen=True):
    """The machine at one moment at which no process of the run is working."""

    taken_utc: str
    load_1m: float | None  # runnable processes, mean over one minute, including the run's own
    others_share: float | None  # share of the usable cores' time used by other programs, over a short window
    steal_share: float | None  # share taken by the hypervisor, over the same window
    cpu_hz: float | None  # mean over the usable cores
    governor: str | None
    throttle_count: int | None  # thermal events since boot, all usable cores
    gpus: list[GpuConditions]
    absent: dict[str, str] = {}  # field -> why it is null or empty


class During(msgspec.Struct, frozen=True):
    """The machine's conditions while a process ran."""

    wall_s: float
    others_share: float | None  # share of the usable cores' time used by programs outside the run
    steal_share: float | None  # share taken by the hypervisor
    cpu_hz: float | None  # median of the samples
    gpus: list[GpuConditions]  # summary of the samples
    absent: dict[str, str]


class HasClockRates(Protocol):
    """Clock rates of the processor and of each GPU while a process ran: `During`, or its counterpart in the record."""

    @property
    def cpu_hz(self) -> float | None:
        """Clock rate of the processor in Hz."""

    @property
    def gpus(self) -> list[GpuConditions]:
        """Conditions of each GPU."""


class DisturbanceLimits(msgspec.Struct, frozen=True):
    """Limits above which (for clock rates: below which) a process counts as disturbed. Shares are fractions of 1."""

    others_share: float = 0.05  # of the usable cores' time, while the process ran
    steal_share: float = 0.02  # of the usable cores' time, while the process ran
    unusable_share: float = 0.2  # taken by others and the hypervisor together; see docs/method.md, Conditions
    clock_share: float = 0.9  # of the median clock rate over the run's processes so far, including this one
    min_clocks: int = 3  # processes with known clock rates, including this one, that a comparison requires
    throttle_events: int = 0  # thermal events of the processor from before until after
    foreign_processes: int = 0  # processes on a GPU that do not belong to the run, before or after


def read(
    watch_s: float, monitor: Monitor, clock: Clock, machine: Machine | None = None, own: Collection[int] = ()
) -> Conditions:
    """Read the machine's current conditions, while no process of the run is working.

    Args:
        watch_s: Length in seconds of the window over which the shares of the cores' time are measured; the call takes
            that long. With 0 the shares are None.
        monitor: The NVIDIA GPUs.
        clock: Times the window.
        machine: Reads the kernel's files; None: those of this machine.
        own: Ids of the run's processes, which do not count as foreign on a GPU.
    """
    machine = machine or Machine()
    absent: dict[str, str] = {}
    began_s, then = clock.now(), _ask("others_share", machine.core_time, absent)
    if watch_s > 0:
        clock.wait_until(clock.now() + watch_s)
    others, steal = _shares(then, machine, clock.now() - began_s, absent)
    gpus = [] if monitor.absent else [_gpu([reading]) for reading in monitor.read(own)]
    if not gpus:
        absent["gpus"] = monitor.absent or "NVML lists no card"
    return Conditions(
        taken_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        load_1m=_ask("load_1m", machine.load_1m, absent),
        others_share=others,
        steal_share=steal,
        cpu_hz=_ask("cpu_hz", machine.cpu_hz, absent),
        governor=_ask("governor", machine.governor, absent),
        throttle_count=_ask("throttle_count", machine.throttle_count, absent),
        gpus=gpus,
        absent=absent,
    )


class ConditionSampler:
    """Samples the conditions from the creation of the object, before a worker starts, until `end`, after it exited.

    Call `sample` while the worker times its steps. Clock rates are sampled then instead of before and after, because an
    idle processor or GPU lowers its clock rate.
    """

    def __init__(self, monitor: Monitor, clock: Clock, machine: Machine | None = None) -> None:
        self._monitor = monitor
        self._clock = clock
        self._machine = machine or Machine()
        self._absent: dict[str, str] = {}
        self._cpu_hz: list[float] = []
        self._readings: dict[int, list[Reading]] = {}
        self._began_s = clock.now()
        self._then = _ask("others_share", self._machine.core_time, self._absent)

    def sample(self, own: Collection[int] = ()) -> None:
        """Read clock rates, throttle reasons and temperatures, which takes about a millisecond. own: as in `read`."""
        cpu_hz = _ask("cpu_hz", self._machine.cpu_hz, self._absent)
        if cpu_hz is not None:
            self._cpu_hz.append(cpu_hz)
        if self._monitor.absent is None:
            for reading in self._monitor.read(own):
                self._readings.setdefault(reading.index, []).append(reading)

    def end(self) -> During:
        """Return the conditions since the object was created."""
        absent = dict(self._absent)
        others, steal = _shares(self._then, self._machine, self._clock.now() - self._began_s, absent)
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


def _ask(field: str, read_value: Callable[[], Value], absent: dict[str, str]) -> Value | None:
    """Return what a method of Machine reports; None if it is not reported, with the reason in `absent[field]`."""
    try:
        return read_value()
    except NotReported as error:
        absent[field] = str(error)
        return None


def _shares(
    then: CoreTime | None, machine: Machine, window_s: float, absent: dict[str, str]
) -> tuple[float | None, float | None]:
    """Return the shares of the cores' time that other programs and the hypervisor took since `then`.

    Shares are clipped to 0 … 1, because the kernel's ticks and its per-process accounting differ by up to a per cent.
    They are None, with the reason in `absent`, if they are not reported or the window is too short.
    """
    now = _ask("others_share", machine.core_time, absent)
    cores_s = window_s * len(machine.cores)
    if now is not None and then is not None and cores_s >= 10 * machine.tick_s:
        others_s = now.busy_s - then.busy_s - (now.own_s - then.own_s)
        stolen_s = now.stolen_s - then.stolen_s
        return min(1.0, max(0.0, others_s / cores_s)), min(1.0, max(0.0, stolen_s / cores_s))
    if now is not None and then is not None:
        absent["others_share"] = "the window is too short: the kernel counts such time in ticks, and it takes ten"
    absent["steal_share"] = absent["others_share"]
    return None, None


def _gpu(readings: Sequence[Reading]) -> GpuConditions:
    """Summarise at least one reading of one GPU. A field is known if any of the readings knows it."""
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
    """Apply a summary to the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return summary(known) if known else None


def disturbances(
    before: Conditions,
    after: Conditions,
    during: During,
    earlier: Sequence[HasClockRates],
    limits: DisturbanceLimits | None = None,
) -> list[str]:
    """Describe what disturbed a process: one phrase with figure and limit per disturbance, in a fixed order.

    Args:
        before: Conditions before the process started.
        after: Conditions after it exited.
        during: Conditions while it ran.
        earlier: Clock rates of the run's previous processes, of whichever case.
        limits: None: the defaults.

    Returns:
        The phrases; empty if no disturbance was observed. Unknown conditions do not count as disturbances.
    """
    limits = limits or DisturbanceLimits()
    found = []

    # The cores: time taken by others, and throttling.
    if during.others_share is not None and during.others_share > limits.others_share:
        figures = f"{during.others_share:.1%} of the usable cores' time (limit {limits.others_share:.1%})"
        found.append(f"others took {figures}")
    if during.steal_share is not None and during.steal_share > limits.steal_share:
        figures = f"{during.steal_share:.1%} of the usable cores' time (limit {limits.steal_share:.1%})"
        found.append(f"the hypervisor took {figures}")
    if before.throttle_count is not None and after.throttle_count is not None:
        events = after.throttle_count - before.throttle_count
        if events > limits.throttle_events:
            found.append(f"the processor was throttled for heat {events} times (limit {limits.throttle_events})")

    # Clock rates, compared with those of the run's other processes.
    clocks = [("the processor's clock", during.cpu_hz, [process.cpu_hz for process in earlier])]
    for gpu in during.gpus:
        others = [other.sm_clock_hz for process in earlier for other in process.gpus if other.index == gpu.index]
        clocks.append((f"card {gpu.index}: its SM clock", gpu.sm_clock_hz, others))
    for which, hz, rates in clocks:
        known = [rate for rate in (hz, *rates) if rate is not None]
        if hz is not None and len(known) >= limits.min_clocks and hz < limits.clock_share * median(known):
            usual = median(known)
            found.append(
                f"{which} was {hz / 1e6:.0f} MHz, {hz / usual:.1%} of the run's median {usual / 1e6:.0f} MHz "
                f"(limit {limits.clock_share:.1%})"
            )

    if before.gpus or during.gpus or after.gpus:
        found += _gpu_disturbances(before, after, during, limits)
    return found


def _gpu_disturbances(
    before: Conditions, after: Conditions, during: During, limits: DisturbanceLimits
) -> list[str]:
    """Describe throttled GPUs, GPUs with foreign processes, and GPUs that stopped answering."""
    found = []
    for gpu in during.gpus:
        reasons = [name for name in gpu.throttle_reasons or () if name in THROTTLED]
        if reasons:
            names = ", ".join(reasons)
            found.append(f"card {gpu.index}: throttled by {len(reasons)} of NVML's reasons, {names} (limit 0)")
    for moment, conditions in (("before", before), ("after", after)):
        for gpu in conditions.gpus:
            if gpu.foreign_processes is not None and gpu.foreign_processes > limits.foreign_processes:
                count, limit = gpu.foreign_processes, limits.foreign_processes
                noun = "process" if count == 1 else "processes"
                found.append(f"card {gpu.index}: {count} {noun} of others on it {moment} (limit {limit})")
    answering_after = {gpu.index: gpu for gpu in after.gpus}
    for gpu in before.gpus:
        now = answering_after.get(gpu.index)
        if _answers(gpu) and now is not None and not _answers(now):
            why = next(iter(now.absent.values()), "no reason given")
            found.append(f"card {gpu.index}: answers before and not after, {why} (limit: answers both times)")
    return found


def _answers(gpu: GpuConditions) -> bool:
    """Whether NVML reported anything about the GPU."""
    figures = (gpu.sm_clock_hz, gpu.memory_clock_hz, gpu.temperature_celsius, gpu.power_watts, gpu.foreign_processes)
    return any(figure is not None for figure in figures)
