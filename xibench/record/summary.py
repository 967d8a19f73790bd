"""The figures of a record, derived from its raw samples by the registry of metrics, with what qualifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Generic, cast

from xibench.measure.conditions import DisturbanceLimits
from xibench.measure.statistics import Outliers, Percentile, outliers, typical_value
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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One case's figures. `summary[metric]` derives the value of any metric once, when it is first asked for.

    Tables show few of the metrics, and an interval takes 2,000 resamples.
    """

    case: Case
    status: Status
    reason: str | None
    processes: int  # that count
    failed: int  # that ended without a measurement
    superseded: int  # that were disturbed and repeated
    disturbed: list[str]  # what disturbed processes that count, each phrase once
    taken_share: float | None  # of the usable cores' time, by others and the hypervisor: the most among these processes
    bracketed: bool  # whether that is so much that its times are in brackets and not ranked
    environment: str  # hash of the environment that it was measured in
    outliers: Outliers | None  # among the timed steps of all processes, labelled process by process
    loop_overhead_share: float | None  # of the median step, in the process where it is largest
    unsteady: int  # processes whose warm-up was cut off before a trend test found the steps steady
    cut_short: int  # processes that ended their sampling because their time limit was near: fewer steps than the rule's
    substitutions: list[Substitution]
    settings_differ: list[str]  # settings on which the processes of this one case differ
    measured: Measurement | None  # the input of the metrics; None if no process was measured
    unread: dict[str, str]  # what the first process could not read, by the names of metrics -> why
    _values: dict[str, Value | Unavailable | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getitem__(self, metric: Metric[T]) -> T | None:
        """The value of a metric, intervals at 95 %; None where the case has none: `why_none` has the reason."""
        if metric.name not in self._values:
            applies = metric.applies(self.case)
            self._values[metric.name] = metric.value(self.measured) if self.measured and applies else None
        value = self._values[metric.name]
        return None if isinstance(value, Unavailable) else cast("T | None", value)

    def why_none(self, metric: Metric[T]) -> str | None:
        """Return the reason why the case has no value of a metric; None if it has one, or none was to be expected."""
        if self.measured is None:
            return (self.reason or self.status) if metric.expected and metric.applies(self.case) else None
        if self[metric] is None and isinstance(value := self._values[metric.name], Unavailable):
            return value.reason
        return self.unread.get(metric.name)

    @property
    def absent(self) -> dict[str, str]:
        """Metrics and fields of the record that the case does not have, with the reasons. Derives every metric."""
        reasons = {metric.name: self.why_none(metric) for metric in METRICS.values()}
        return self.unread | {name: reason for name, reason in reasons.items() if reason is not None}

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
        # As Measurement.over_processes, but without the intervals, each of which takes 2,000 resamples
        processes = self.measured.processes if self.measured else []
        compiling = [[p.compile_s] for p in processes if p.compile_s]
        first_steps = [[p.first_step_s] for p in processes if p.first_step_s]
        if not first_steps:
            return None
        return (typical_value(compiling) if compiling else 0.0) + typical_value(first_steps)

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
    steps_s = [p.steps_s for p in processes if p.steps_s]
    overheads = [
        p.clock.loop_overhead_s / median(p.steps_s)
        for p in processes
        if p.clock.loop_overhead_s is not None and p.steps_s
    ]
    shares = [
        (around.others_share or 0.0) + (around.steal_share or 0.0)
        for a in record.counted
        if (around := a.surroundings) and (around.others_share, around.steal_share) != (None, None)
    ]
    alike = len({repr(p.settings) for p in processes}) <= 1  # of most cases; spares comparing them one by one
    settings = dict.fromkeys(name for p in processes if not alike for name in p.settings)
    return Summary(
        case=record.case,
        status=record.status,
        reason=record.reason,
        processes=len(processes),
        failed=sum(a.process is None for a in record.attempts),
        superseded=len(record.superseded),
        disturbed=disturbances(record.counted),
        taken_share=max(shares, default=None),
        # On a GPU the cores only start the work, so that their load is marked as a disturbance and no more.
        bracketed=record.case.device == "cpu" and max(shares, default=0.0) > DisturbanceLimits().unusable_share,
        environment=record.environment,
        outliers=outliers(steps_s) if steps_s else None,
        loop_overhead_share=max(overheads, default=None),
        unsteady=sum(p.sampled.warmup_stopped_by.startswith(CUT_OFF) for p in processes if p.sampled),
        cut_short=sum(p.sampled.stopped_by.startswith(TIME_LIMIT) for p in processes if p.sampled),
        substitutions=list(dict.fromkeys(s for p in processes for s in p.substitutions)),
        settings_differ=[name for name in settings if len({repr(p.settings.get(name)) for p in processes}) > 1],
        measured=Measurement(record.case, record.costs, processes, calibration) if processes else None,
        unread={_NAMED_AS.get(name, name): why for name, why in processes[0].absent.items()} if processes else {},
    )  # fmt: skip


def disturbances(attempts: Sequence[Attempt]) -> list[str]:
    """Return what disturbed these attempts, each phrase once."""
    phrases = [phrase for a in attempts if a.surroundings for phrase in a.surroundings.disturbed]
    return list(dict.fromkeys(phrases))


_NAMED_AS: Final = {"host_peak_bytes": "peak_bytes", "device_peak_allocated_bytes": "device_peak_bytes"}
"""Fields of a record that have another name as a metric."""

