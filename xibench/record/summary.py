"""The figures of a record, derived from its raw samples by the registry of metrics, with what qualifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Generic, cast

import msgspec

from xibench.measure.statistics import Outliers, Percentile, outliers
from xibench.record import metrics
from xibench.record.metrics import METRICS, Measurement, Metric, T, Unavailable, Value
from xibench.record.schema import Attempt, Calibration, Case, Record, Status, Substitution

CUT_OFF: Final = ("max_warmup_steps", "warmup_budget_s", "total_budget_s", "time_limit_s")
"""How Process.warmup_stopped_by begins where a limit ended the warm-up."""
TIME_LIMIT: Final = "time_limit_s"  # how Process.stopped_by begins where the worker ended its sampling to be in time


@dataclass(frozen=True, slots=True)
class Figure(Generic[T]):
    """A metric as an attribute of Summary: `summary.step_s` is `summary[metrics.STEP_S]`."""

    metric: Metric[T]

    def __get__(self, summary: Summary, owner: type[Summary]) -> T | None:
        return summary[self.metric]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One case's figures. `summary[metric]` gives the value of any metric; None where the case has none."""

    case: Case
    status: Status
    reason: str | None
    processes: int  # that count
    failed: int  # that ended without a measurement
    superseded: int  # that were disturbed and repeated
    disturbed: list[str]  # what disturbed processes that count, each phrase once
    figures: dict[str, Value]  # metric -> its value; those that the case has. Intervals are 95 %
    outliers: Outliers | None  # among the timed steps of all processes, labelled process by process
    loop_overhead_share: float | None  # of the median step, in the process where it is largest
    unsteady: int  # processes whose warm-up was cut off before a trend test found the steps steady
    cut_short: int  # processes that ended their sampling because their time limit was near: fewer steps than the rule's
    substitutions: list[Substitution]
    settings_differ: list[str]  # settings on which the processes of this one case differ
    absent: dict[str, str]  # metric, or field of the record -> why there is none

    def __getitem__(self, metric: Metric[T]) -> T | None:
        return cast("T | None", self.figures.get(metric.name))

    step_s = Figure(metrics.STEP_S)
    images_per_s = Figure(metrics.IMAGES_PER_S)
    compile_s = Figure(metrics.COMPILE_S)
    first_step_s = Figure(metrics.FIRST_STEP_S)
    peak_bytes = Figure(metrics.PEAK_BYTES)
    device_peak_bytes = Figure(metrics.DEVICE_PEAK_BYTES)
    attained = Figure(metrics.ATTAINED)
    joules_per_image = Figure(metrics.JOULES_PER_IMAGE)
    joules_per_image_above_idle = Figure(metrics.JOULES_PER_IMAGE_ABOVE_IDLE)
    macs_per_s = Figure(metrics.MACS_PER_S)
    highest_rate_hz = Figure(metrics.HIGHEST_RATE_HZ)

    @property
    def until_first_result_s(self) -> float | None:
        """Seconds of compiling ahead of time, where a framework does so, and of the first step; medians added."""
        known = [part.median for part in (self.compile_s, self.first_step_s) if part]
        return sum(known) if self.first_step_s else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """Peak memory of the card where the case ran on one, else of the host."""
        return self.peak_bytes if self.device_peak_bytes is None else self.device_peak_bytes

    @property
    def latency(self) -> dict[str, Percentile]:
        """Percentiles p50, p90 and p99 of the steps of all processes; empty without steps."""
        return {name: value for name, metric in metrics.LATENCY.items() if (value := self[metric]) is not None}


def summarise(record: Record, calibration: Calibration | None = None) -> Summary:
    """Derive the figures of one record.

    Args:
        record: A case with its attempts.
        calibration: The run's ceilings and idle power, for the energy above idle.
    """
    processes = record.processes
    figures, absent = _figures(record, calibration)

    # Outliers are labelled process by process: a process that is slower as a whole has none for that reason.
    labelled = [outliers(p.steps_s) for p in processes if p.steps_s]
    overheads = [
        p.clock.loop_overhead_s / median(p.steps_s)
        for p in processes
        if p.clock.loop_overhead_s is not None and p.steps_s
    ]
    settings = dict.fromkeys(name for p in processes for name in p.settings)
    return Summary(
        case=record.case,
        status=record.status,
        reason=record.reason,
        processes=len(processes),
        failed=sum(a.process is None for a in record.attempts),
        superseded=len(record.superseded),
        disturbed=disturbances(record.counted),
        figures=figures,
        outliers=Outliers(
            sum(o.mild for o in labelled), sum(o.severe for o in labelled), sum(o.n for o in labelled)
        ) if labelled else None,
        loop_overhead_share=max(overheads, default=None),
        unsteady=sum(p.sampled.warmup_stopped_by.startswith(CUT_OFF) for p in processes if p.sampled),
        cut_short=sum(p.sampled.stopped_by.startswith(TIME_LIMIT) for p in processes if p.sampled),
        substitutions=processes[0].substitutions if processes else [],
        settings_differ=[name for name in settings if len({repr(p.settings.get(name)) for p in processes}) > 1],
        absent=absent,
    )  # fmt: skip


def disturbances(attempts: Sequence[Attempt]) -> list[str]:
    """Return what disturbed these attempts, each phrase once."""
    phrases = [phrase for a in attempts if a.surroundings for phrase in a.surroundings.disturbed]
    return list(dict.fromkeys(phrases))


_NAMED_AS: Final = {"host_peak_bytes": "peak_bytes", "device_peak_allocated_bytes": "device_peak_bytes"}
"""Fields of a record that have another name as a metric."""


def _figures(record: Record, calibration: Calibration | None) -> tuple[dict[str, Value], dict[str, str]]:
    """Return the value of each metric that the case has, and why the others are missing."""
    applicable = [metric for metric in METRICS.values() if metric.applies(record.case)]
    if not record.processes:
        reason = record.reason or record.status
        return {}, {metric.name: reason for metric in applicable if metric.expected}
    measured = Measurement(record.case, record.costs, record.processes, calibration)
    figures: dict[str, Value] = {}
    absent = {_NAMED_AS.get(field, field): why for field, why in measured.processes[0].absent.items()}
    for metric in applicable:
        value = metric.value(measured)
        if isinstance(value, Unavailable):
            absent[metric.name] = value.reason
        elif value is not None:
            figures[metric.name] = value
    return figures, absent
