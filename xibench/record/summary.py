"""A record's figures, derived from its raw samples. The one place where they are computed."""

from __future__ import annotations

import msgspec

from xibench.measure.statistics import Interval, median_interval
from xibench.record.schema import Case, Memory, Record, Status, Substitution


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One case's figures. Intervals are 95 %; None where the case has no such figure, and `absent` says why."""

    case: Case
    status: Status
    reason: str | None
    processes: int
    step_s: Interval | None  # seconds per step of `case.batch` images
    images_per_s: Interval | None  # low and high swap: the fastest step is the highest throughput
    compile_s: float | None
    first_step_s: float | None
    peak_bytes: int | None  # host, above the framework's baseline
    device_peak_bytes: int | None
    macs_per_s: float | None
    substitutions: list[Substitution]
    absent: dict[str, str]


def summarise(record: Record) -> Summary:
    """The figures of one record. With several processes their steps are pooled: their spread is left out."""
    if not record.processes:
        why = record.reason or record.status
        return Summary(
            case=record.case, status=record.status, reason=record.reason, processes=0, step_s=None,
            images_per_s=None, compile_s=None, first_step_s=None, peak_bytes=None, device_peak_bytes=None,
            macs_per_s=None, substitutions=[], absent={"step_s": why, "images_per_s": why, "peak_bytes": why},
        )
    first = record.processes[0]
    step = median_interval([s for p in record.processes for s in p.steps_s], record.case.seed)
    return Summary(
        case=record.case,
        status=record.status,
        reason=record.reason,
        processes=len(record.processes),
        step_s=step,
        images_per_s=_throughput(step, record.case.batch),
        compile_s=first.compile_s,
        first_step_s=first.first_step_s,
        peak_bytes=max((_above_baseline(p.memory) for p in record.processes), key=lambda b: b or 0),
        device_peak_bytes=first.memory.device_peak_allocated_bytes,
        macs_per_s=record.costs.macs / step.median,
        substitutions=first.substitutions,
        absent={_NAMED_AS.get(field, field): why for field, why in first.absent.items()},
    )


_NAMED_AS = {"host_peak_bytes": "peak_bytes", "device_peak_allocated_bytes": "device_peak_bytes"}  # in a Summary


def _throughput(step: Interval, batch: int) -> Interval:
    return Interval(
        batch / step.median,
        None if step.high is None else batch / step.high,
        None if step.low is None else batch / step.low,
        step.n,
    )


def _above_baseline(memory: Memory) -> int | None:
    if memory.host_peak_bytes is None or memory.host_baseline_bytes is None:
        return None
    return memory.host_peak_bytes - memory.host_baseline_bytes
