"""A record's figures, derived from its raw samples. The one place where they are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import msgspec

from xibench.measure.statistics import (
    Interval,
    Outliers,
    Percentile,
    hierarchical_median,
    outliers,
    percentile,
)
from xibench.record.schema import Attempt, Calibration, Case, Energy, Memory, Process, Record, Status, Substitution

PERCENTILES: Final = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
CUT_OFF: Final = ("max_warmup_steps", "warmup_budget_s")  # how Process.warmup_stopped_by begins where a limit ended it
NO_STEPS: Final = "scenario compile times no step"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One case's figures. Intervals are 95 %; None where the case has no such figure, and `absent` says why."""

    case: Case
    status: Status
    reason: str | None
    processes: int  # that count
    failed: int  # that ended without a measurement
    set_aside: int  # that were disturbed and repeated
    disturbed: list[str]  # what disturbed processes that count, each phrase once
    step_s: Interval | None  # seconds per step of `case.batch` images
    images_per_s: Interval | None  # low and high swap: the fastest step is the highest throughput
    latency: dict[str, Percentile]  # p50, p90, p99 of the steps of all processes; empty without steps
    compile_s: Interval | None  # over processes
    first_step_s: Interval | None  # over processes
    peak_bytes: int | None  # host, above the framework's baseline; the largest of the processes
    device_peak_bytes: int | None
    compiled_temporary_bytes: int | None  # scratch that the compiler planned
    macs_per_s: float | None
    attained: float | None  # attainable time by the run's own ceilings / median step time; 1 is the roofline
    joules_per_image: float | None
    joules_per_image_above_idle: float | None
    highest_rate_hz: float | None  # scenario server: median of its processes (the lower of two); more than half kept it
    outliers: Outliers | None  # among the timed steps of all processes, labelled process by process
    loop_overhead_share: float | None  # of the median step, in the process where it is largest
    unsteady: int  # processes whose warm-up was cut off before a trend test found the steps steady
    substitutions: list[Substitution]
    settings_differ: list[str]  # settings on which the processes of this one case differ
    absent: dict[str, str]


def summarise(record: Record, calibration: Calibration | None = None) -> Summary:
    """The figures of one record; with the run's calibration also the energy above idle."""
    if not record.processes:
        return _without_result(record)
    processes = record.processes
    absent = _reasons(processes, record)
    steps = [p.steps_s for p in processes if p.steps_s]
    step = hierarchical_median(steps, record.case.seed) if steps else None
    if step is None:
        absent |= dict.fromkeys(("step_s", "images_per_s", "macs_per_s", "attained"), NO_STEPS)
    attainable = record.costs.attainable_s
    energy, above_idle = _energy(processes, calibration, absent)
    return Summary(
        case=record.case,
        status=record.status,
        reason=record.reason,
        processes=len(processes),
        failed=_failed(record),
        set_aside=len(record.set_aside),
        disturbed=disturbances(record.counted),
        step_s=step,
        images_per_s=_throughput(step, record.case.batch) if step else None,
        latency=_latency(steps),
        compile_s=_over_processes([p.compile_s for p in processes], record.case.seed),
        first_step_s=_over_processes([p.first_step_s for p in processes], record.case.seed),
        peak_bytes=_largest(processes, _above_baseline),
        device_peak_bytes=_largest(processes, lambda m: m.device_peak_allocated_bytes),
        compiled_temporary_bytes=_largest(processes, lambda m: m.compiled_temporary_bytes),
        macs_per_s=record.costs.macs / step.median if step else None,
        attained=attainable / step.median if attainable is not None and step else None,
        joules_per_image=energy,
        joules_per_image_above_idle=above_idle,
        highest_rate_hz=_highest_rate(processes, absent),
        outliers=_outliers(steps),
        loop_overhead_share=_loop_overhead(processes),
        unsteady=sum(p.warmup_stopped_by.startswith(CUT_OFF) for p in processes if p.steps_s),
        substitutions=processes[0].substitutions,
        settings_differ=_differing(processes),
        absent=absent,
    )


def disturbances(attempts: Sequence[Attempt]) -> list[str]:
    """What disturbed these attempts, each phrase once."""
    phrases = [phrase for a in attempts if a.surroundings for phrase in a.surroundings.disturbed]
    return list(dict.fromkeys(phrases))


def _without_result(record: Record) -> Summary:
    why = record.reason or record.status
    return Summary(
        case=record.case, status=record.status, reason=record.reason, processes=0, failed=_failed(record), set_aside=0,
        disturbed=[], step_s=None, images_per_s=None, latency={}, compile_s=None, first_step_s=None, peak_bytes=None,
        device_peak_bytes=None, compiled_temporary_bytes=None, macs_per_s=None, attained=None, joules_per_image=None,
        joules_per_image_above_idle=None, highest_rate_hz=None, outliers=None,
        loop_overhead_share=None, unsteady=0, substitutions=[],
        settings_differ=[],
        absent=dict.fromkeys(
            ("step_s", "images_per_s", "peak_bytes", "macs_per_s", "attained", "joules_per_image"), why
        ),
    )  # fmt: skip


def _failed(record: Record) -> int:
    return sum(a.process is None for a in record.attempts)


_NAMED_AS: Final = {"host_peak_bytes": "peak_bytes", "device_peak_allocated_bytes": "device_peak_bytes"}  # in a Summary


def _reasons(processes: Sequence[Process], record: Record) -> dict[str, str]:
    reasons = {_NAMED_AS.get(field, field): why for field, why in processes[0].absent.items()}
    if record.costs.attainable_s is None:
        reasons["attained"] = record.costs.absent.get("attainable_s", "the run has no ceilings")
    return reasons


def _over_processes(values: Sequence[float | None], seed: int) -> Interval | None:
    """One value per process; the interval then holds what differs from one process to the next."""
    known = [value for value in values if value is not None and value > 0]
    return hierarchical_median([[value] for value in known], seed) if known else None


def _throughput(step: Interval, batch: int) -> Interval:
    return Interval(
        batch / step.median,
        None if step.high is None else batch / step.high,
        None if step.low is None else batch / step.low,
        step.n,
        step.processes,
    )


def _latency(steps: Sequence[Sequence[float]]) -> dict[str, Percentile]:
    pooled = [seconds for process in steps for seconds in process]
    return {name: percentile(pooled, q) for name, q in PERCENTILES.items()} if pooled else {}


def _outliers(steps: Sequence[Sequence[float]]) -> Outliers | None:
    """Process by process: what one process is slower by than another makes no sample of it an outlier."""
    if not steps:
        return None
    found = [outliers(process) for process in steps]
    return Outliers(sum(o.mild for o in found), sum(o.severe for o in found), sum(o.n for o in found))


def _loop_overhead(processes: Sequence[Process]) -> float | None:
    shares = [
        p.clock.loop_overhead_s / median(p.steps_s)
        for p in processes
        if p.clock.loop_overhead_s is not None and p.steps_s
    ]
    return max(shares, default=None)


def _largest(processes: Sequence[Process], figure: Callable[[Memory], int | None]) -> int | None:
    known = [value for value in (figure(p.memory) for p in processes) if value is not None]
    return max(known, default=None)


def _above_baseline(memory: Memory) -> int | None:
    if memory.host_peak_bytes is None or memory.host_baseline_bytes is None:
        return None
    return memory.host_peak_bytes - memory.host_baseline_bytes


def _energy(
    processes: Sequence[Process], calibration: Calibration | None, absent: dict[str, str]
) -> tuple[float | None, float | None]:
    """Joules per image, of the cards and the processor's packages as far as either is known; and above idle."""
    known = [p.energy for p in processes if joules(p.energy) is not None and p.energy.images]
    if not known:
        why = "; ".join(dict.fromkeys(processes[0].energy.absent.values())) or "nothing was read"
        absent |= dict.fromkeys(("joules_per_image", "joules_per_image_above_idle"), why)
        return None, None
    images = sum(energy.images for energy in known)
    gross = sum(joules(energy) or 0.0 for energy in known)
    idle = [idle_joules(energy, calibration) for energy in known]
    if any(value is None for value in idle):
        absent["joules_per_image_above_idle"] = "the run has no idle power of the same source"
        return gross / images, None
    return gross / images, (gross - sum(value or 0.0 for value in idle)) / images


def joules(energy: Energy) -> float | None:
    """Energy of a window: the cards' counter, else their integrated power, plus the processor's packages.

    None where neither is known.
    """
    gpu = energy.gpu_integrated_joules if energy.gpu_counter_joules is None else energy.gpu_counter_joules
    known = [value for value in (gpu, energy.cpu_package_joules) if value is not None]
    return sum(known) if known else None


def idle_joules(energy: Energy, calibration: Calibration | None) -> float | None:
    """What the same sources would have used in the window while idle; None where the run does not know."""
    if calibration is None:
        return None
    idle = calibration.idle
    has_gpu = energy.gpu_counter_joules is not None or energy.gpu_integrated_joules is not None
    wanted = [idle.gpu_watts] * has_gpu + [idle.cpu_package_watts] * (energy.cpu_package_joules is not None)
    if any(watts is None for watts in wanted):
        return None
    return energy.window_s * sum(watts or 0.0 for watts in wanted)


def _highest_rate(processes: Sequence[Process], absent: dict[str, str]) -> float | None:
    servers = [p.server for p in processes if p.server]
    if not servers:
        return None
    rates = sorted(s.highest_rate_hz or 0.0 for s in servers)  # 0: not even the lowest that was tried
    middle = rates[(len(rates) - 1) // 2]
    if not middle:
        kept = sum(rate > 0 for rate in rates)
        some = f" in {len(rates) - kept} of {len(rates)} processes" if kept else ""
        absent["highest_rate_hz"] = f"no rate that was tried kept p99 within {servers[0].bound_s:g} s{some}"
        return None
    return middle


def _differing(processes: Sequence[Process]) -> list[str]:
    names = dict.fromkeys(name for p in processes for name in p.settings)
    return [name for name in names if len({repr(p.settings.get(name)) for p in processes}) > 1]
