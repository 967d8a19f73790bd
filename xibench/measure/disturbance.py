"""Decide whether the conditions around a process disturbed it; each disturbance is a phrase with figure and limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from xibench.measure.conditions import ClockRates, Conditions, During, GpuConditions

THROTTLED: Final = ("SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")


@dataclass(frozen=True, slots=True)
class DisturbanceLimits:
    """Limits above which (for clocks: below which) a process counts as disturbed. Shares are fractions of 1."""

    others_share: float = 0.05  # of the usable cores' time, while the process ran
    steal_share: float = 0.02  # of the usable cores' time, while the process ran
    clock_share: float = 0.9  # of the median clock over the run's processes so far, this one among them
    min_clocks: int = 3  # processes whose clocks are known, this one among them, before clocks are compared
    throttle_events: int = 0  # thermal events of the processor from before until after
    foreign_processes: int = 0  # processes on a card that are not the run's, before or after


def disturbances(
    before: Conditions,
    after: Conditions,
    during: During,
    earlier: Sequence[ClockRates],
    limits: DisturbanceLimits | None = None,
) -> list[str]:
    """Return one phrase per disturbance; empty where none was observed. Unknown conditions do not count as disturbed.

    Args:
        before: Conditions before the process started.
        after: Conditions after it ended.
        during: Conditions while it ran.
        earlier: Clock rates of the run's processes before this one, of whichever case.
        limits: None: the defaults.
    """
    limits = limits or DisturbanceLimits()
    return [
        *_cores(during, limits),
        *_throttle_events(before, after, limits),
        *_slow_clocks(during.clocks, earlier, limits),
        *_throttle_reasons(during),
        *_foreign_processes(before, after, limits),
        *_lost(before, after),
    ]


def _cores(during: During, limits: DisturbanceLimits) -> Iterator[str]:
    if during.others_share is not None and during.others_share > limits.others_share:
        yield f"others took {during.others_share:.1%} of the usable cores' time (limit {limits.others_share:.1%})"
    if during.steal_share is not None and during.steal_share > limits.steal_share:
        yield f"the hypervisor took {during.steal_share:.1%} of the usable cores' time (limit {limits.steal_share:.1%})"


def _throttle_events(before: Conditions, after: Conditions, limits: DisturbanceLimits) -> Iterator[str]:
    if before.throttle_count is None or after.throttle_count is None:
        return
    events = after.throttle_count - before.throttle_count
    if events > limits.throttle_events:
        yield f"the processor was throttled for heat {events} times (limit {limits.throttle_events})"


def _slow_clocks(now: ClockRates, earlier: Sequence[ClockRates], limits: DisturbanceLimits) -> Iterator[str]:
    yield from _slow("the processor's clock", now.cpu_hz, [clocks.cpu_hz for clocks in earlier], limits)
    for index, hz in now.sm_hz.items():
        yield from _slow(f"card {index}: its SM clock", hz, [clocks.sm_hz.get(index) for clocks in earlier], limits)


def _slow(what: str, hz: float | None, earlier: Sequence[float | None], limits: DisturbanceLimits) -> Iterator[str]:
    if hz is None:
        return
    known = [hz, *(clock for clock in earlier if clock is not None)]
    usual = median(known)
    if len(known) >= limits.min_clocks and hz < limits.clock_share * usual:
        yield (
            f"{what} was {hz / 1e6:.0f} MHz, {hz / usual:.1%} of the run's median {usual / 1e6:.0f} MHz "
            f"(limit {limits.clock_share:.1%})"
        )


def _throttle_reasons(during: During) -> Iterator[str]:
    for gpu in during.gpus:
        reasons = [name for name in gpu.throttle_reasons or () if name in THROTTLED]
        if reasons:
            yield f"card {gpu.index}: throttled by {len(reasons)} of NVML's reasons, {', '.join(reasons)} (limit 0)"


def _foreign_processes(before: Conditions, after: Conditions, limits: DisturbanceLimits) -> Iterator[str]:
    for moment, conditions in (("before", before), ("after", after)):
        for gpu in conditions.gpus:
            if gpu.foreign_processes is not None and gpu.foreign_processes > limits.foreign_processes:
                count, limit = gpu.foreign_processes, limits.foreign_processes
                noun = "process" if count == 1 else "processes"
                yield f"card {gpu.index}: {count} {noun} of others on it {moment} (limit {limit})"


def _lost(before: Conditions, after: Conditions) -> Iterator[str]:
    """Cards that answered before the process and answer no question after it."""
    still = {gpu.index: gpu for gpu in after.gpus}
    for gpu in before.gpus:
        now = still.get(gpu.index)
        if _answers(gpu) and now is not None and not _answers(now):
            why = next(iter(now.absent.values()), "no reason given")
            yield f"card {gpu.index}: answers before and not after, {why} (limit: answers both times)"


def _answers(gpu: GpuConditions) -> bool:
    figures = (gpu.sm_clock_hz, gpu.memory_clock_hz, gpu.temperature_celsius, gpu.power_watts, gpu.foreign_processes)
    return any(figure is not None for figure in figures)
