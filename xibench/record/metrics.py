"""The registry of metrics: what each figure of a case is, how it is derived from the record, and how it is shown.

A metric is one entry of METRICS. Summaries, frames and exports, `show --json`, the tables of `run` and `show`,
`compare` and the site iterate over the registry, so that an entry is all that a new metric takes. A module of your own
can add entries; name it in the environment variable XIBENCH_PLUGINS (see `xibench.plugins`):

    from xibench.record.metrics import Metric, register

    register(Metric(
        name="slowest_step_s", unit="s", better="lower", heading="slowest step", shown_unit="ms", scale=1e3,
        of=lambda case: max(map(max, case.steps_s), default=None),
    ))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Generic, Literal, TypeVar

from xibench.measure.statistics import Interval, Percentile, hierarchical_median, percentile
from xibench.record.schema import Calibration, Case, Costs, Energy, Memory, Process, Server

Value = Interval | Percentile | float | int
"""What a metric may be: an estimate with its interval, a percentile of all steps, or a number without an interval."""
T = TypeVar("T", bound=Value)
T_co = TypeVar("T_co", bound=Value, covariant=True)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The value of a metric that a case does not have.

    Attributes:
        reason: Why, in words for readers; summaries and documents have it under `absent`.
    """

    reason: str


@dataclass(frozen=True)
class Measurement:
    """A case that was measured: the input of every metric, with the values that several metrics share.

    Attributes:
        case: What was run.
        costs: What one step of it costs, and its attainable time by the run's ceilings.
        processes: The processes that count, at least one.
        calibration: The run's ceilings and idle power; None if they were not measured.
    """

    case: Case
    costs: Costs
    processes: list[Process]
    calibration: Calibration | None

    @cached_property
    def steps_s(self) -> list[list[float]]:
        """The timed steps of every process that timed any, in seconds. Single-stream and server: one query a step."""
        return [p.steps_s for p in self.processes if p.steps_s]

    @cached_property
    def step_s(self) -> Interval | None:
        """The median step with its interval over processes and steps; None without steps."""
        return hierarchical_median(self.steps_s, self.case.seed) if self.steps_s else None

    @cached_property
    def metered(self) -> list[tuple[Process, float]]:
        """The processes that computed images while energy was read, each with its joules.

        Joules are those of the cards' counter, else of their integrated power, plus those of the processor's packages.
        """
        found = []
        for process in self.processes:
            energy = process.energy
            gpu = energy.gpu_integrated_joules if energy.gpu_counter_joules is None else energy.gpu_counter_joules
            known = [joules for joules in (gpu, energy.cpu_package_joules) if joules is not None]
            if known and process.images:
                found.append((process, sum(known)))
        return found

    def over_processes(self, values: Iterable[float | None]) -> Interval | None:
        """Return the median of one value per process; its interval includes the variation between processes."""
        known = [value for value in values if value is not None and value > 0]
        return hierarchical_median([[value] for value in known], self.case.seed) if known else None

    def largest(self, of: Callable[[Memory], int | None]) -> int | None:
        """Return the largest of the processes' memory figures, in bytes; None if no process has one."""
        return max((value for p in self.processes if (value := of(p.memory)) is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[T_co]):
    """One figure of a case.

    Attributes:
        name: Its name in JSON documents, frames and exports; an identifier that ends in the unit.
        unit: SI unit of the value: s, B, J, 1/s, or 1 for a ratio.
        better: Which direction is an improvement; None where neither is.
        of: Derives the value from a case that was measured; returns Unavailable with the reason, or None, where there
            is no value.
        kind: Whether the value is an Interval, a Percentile, or a number alone.
        heading: The heading of its column in tables; empty: it has no column of its own.
        scenarios: The scenarios that have it; None: all.
        tasks: The tasks that have it; None: all.
        shown_unit: The unit in which people read it, where the heading does not name it.
        scale: Factor from `unit` to the unit in which people read it.
        style: How people read it: with three significant digits, in powers of 1024 bytes, or as a percentage.
        bounds: Whether tables show the bounds of its interval.
        only_if_any: Whether its column is left out of tables in which no case has the figure.
        refines: A metric without which there is none of this one, and whose reason then says enough.
        expected: Whether a case without any measurement gives its reason under this name.
        placed: Whether scenarios and pages name it themselves where they show it. Otherwise the tables of all scenarios
            that have it, `compare` and the site list it without naming it.
        path: The object and key under which `show --json` has it; None: under its name.
        flat: Whether JSON has its median and bounds as three numbers instead of an object, as frames do.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"] | None
    of: Callable[[Measurement], T_co | Unavailable | None]
    kind: Literal["interval", "percentile", "number"] = "number"
    heading: str = ""
    scenarios: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    shown_unit: str = ""
    scale: float = 1.0
    style: Literal["number", "bytes", "percent"] = "number"
    bounds: bool = True
    only_if_any: bool = False
    refines: str = ""
    expected: bool = True
    placed: bool = False
    path: tuple[str, str] | None = None
    flat: bool = False

    def applies(self, case: Case) -> bool:
        """Whether cases of this scenario and task have the metric."""
        return (self.scenarios is None or case.scenario in self.scenarios) and (
            self.tasks is None or case.task in self.tasks
        )

    def value(self, case: Measurement) -> T_co | Unavailable | None:
        """Derive the value.

        Returns:
            The value; None where the case has none. Unavailable also where `of` raises or returns a value of another
            kind than `kind`: a metric of a user's plugin must not end a run that is measuring.
        """
        try:
            found = self.of(case)
        except Exception as error:  # whatever a user's function raises
            return Unavailable(f"metric {self.name}: `of` raised {type(error).__name__}: {error}; correct `of`")
        if found is not None and not isinstance(found, (Unavailable, *_KINDS[self.kind])):
            types = " or ".join(kind.__name__ for kind in _KINDS[self.kind])
            return Unavailable(
                f"metric {self.name}: received {found!r}, expected a value of kind {self.kind} ({types}), "
                "Unavailable or None; correct `of` or `kind`"
            )
        return found

    @property
    def label(self) -> str:
        """The name of the figure in prose: its heading on one line, or its name."""
        return " ".join(self.heading.split()) or self.name


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "interval": (Interval,), "percentile": (Percentile,), "number": (float, int),
}  # fmt: skip

METRICS: Final[dict[str, Metric[Any]]] = {}
"""Every metric by name, in the order of a frame's columns."""


def register(metric: Metric[T]) -> Metric[T]:
    """Add a metric to the registry.

    Returns:
        The metric, under which `Summary` gives its value.

    Raises:
        ValueError: If the name is no identifier, or is taken by another metric or by another field of a document.
    """
    if not metric.name.isidentifier():
        raise ValueError(f"metric name: received {metric.name!r}, expected an identifier such as slowest_step_s")
    if metric.name in METRICS or metric.name in _TAKEN:
        raise ValueError(f"metric {metric.name!r} cannot be registered: the name is taken; choose another")
    METRICS[metric.name] = metric
    return metric


def central(value: Value | None) -> float | None:
    """The value itself: the median of an estimate, the value of a percentile; None where there is none."""
    match value:
        case Interval():
            return value.median
        case Percentile():
            return value.value
    return value


def bounds(value: Value | None) -> tuple[float | None, float | None]:
    """The bounds of the 95 % interval of an estimate or a percentile; None where there are none."""
    return (value.low, value.high) if isinstance(value, Interval | Percentile) else (None, None)


_TAKEN: Final = frozenset({
    *Case.__struct_fields__, *Costs.__struct_fields__,
    "run", "created_utc", "machine", "environment", "cpu_model", "device_name", "versions", "case", "status", "reason",
    "log", "latency_s", "processes", "failed", "set_aside", "disturbed", "taken_share", "bracketed", "unsteady",
    "cut_short", "steps", "outliers", "outliers_mild", "outliers_severe", "costs", "settings", "settings_differ",
    "equality", "substitutions", "absent", "peak_flops_per_s", "copy_bytes_per_s",
})  # fmt: skip
"""The other fields of a case in frames and in `show --json`."""


# Speed: from the timed steps of all processes.


def _no_steps(case: Measurement) -> Unavailable:
    return Unavailable(f"scenario {case.case.scenario} times no step")


def _throughput(case: Measurement) -> Interval | Unavailable:
    """Images per second of the median step; the bounds swap, as the fastest step is the highest throughput."""
    step, batch = case.step_s, case.case.batch
    if step is None:
        return _no_steps(case)
    low = None if step.high is None else batch / step.high
    high = None if step.low is None else batch / step.low
    return Interval(batch / step.median, low, high, step.n, step.processes)


def _latency(name: str, q: float) -> Metric[Percentile]:
    """The q-th percentile of the steps of all processes together."""
    return Metric(
        name=f"{name}_s", unit="s", better="lower",
        of=lambda case: percentile([s for steps in case.steps_s for s in steps], q) if case.steps_s else None,
        kind="percentile", heading=name, shown_unit="ms", scale=1e3, expected=False, placed=True,
        path=("latency_s", name),
    )  # fmt: skip


STEP_S: Final = register(Metric(
    name="step_s", unit="s", better="lower", of=lambda case: case.step_s or _no_steps(case), kind="interval",
    heading="ms/step", scale=1e3, bounds=False, placed=True,
))  # fmt: skip
"""Seconds per step of the case's batch."""

IMAGES_PER_S: Final = register(Metric(
    name="images_per_s", unit="1/s", better="higher", of=_throughput, kind="interval", heading="images/s",
    placed=True, flat=True,
))  # fmt: skip

P50_S: Final = register(_latency("p50", 0.50))
P90_S: Final = register(_latency("p90", 0.90))
P99_S: Final = register(_latency("p99", 0.99))
LATENCY: Final = {"p50": P50_S, "p90": P90_S, "p99": P99_S}


# Starting: one value per process.

COMPILE_S: Final = register(Metric(
    name="compile_s", unit="s", better="lower",
    of=lambda case: case.over_processes(p.compile_s for p in case.processes),
    kind="interval", heading="compile", shown_unit="s", expected=False, placed=True,
))  # fmt: skip
"""Seconds of compiling ahead of the first step."""

FIRST_STEP_S: Final = register(Metric(
    name="first_step_s", unit="s", better="lower",
    of=lambda case: case.over_processes(p.first_step_s for p in case.processes),
    kind="interval", heading="first step", shown_unit="s", expected=False, placed=True,
))  # fmt: skip


# Memory: the largest of the processes.


PEAK_BYTES: Final = register(Metric(
    name="peak_bytes", unit="B", better="lower", style="bytes", placed=True,
    of=lambda case: case.largest(
        lambda memory: None if memory.host_peak_bytes is None or memory.host_baseline_bytes is None
        else memory.host_peak_bytes - memory.host_baseline_bytes
    ),
))  # fmt: skip
"""Peak resident memory of the host above the resident set after importing the framework."""

DEVICE_PEAK_BYTES: Final = register(Metric(
    name="device_peak_bytes", unit="B", better="lower",
    of=lambda case: case.largest(lambda memory: memory.device_peak_allocated_bytes), style="bytes", expected=False,
    placed=True,
))  # fmt: skip
"""Peak memory that the framework allocated on the device, by its own counter."""

COMPILED_TEMPORARY_BYTES: Final = register(Metric(
    name="compiled_temporary_bytes", unit="B", better="lower",
    of=lambda case: case.largest(lambda memory: memory.compiled_temporary_bytes), style="bytes", expected=False,
    placed=True,
))  # fmt: skip
"""Scratch memory that the compiler planned for one step."""


# Efficiency: the rate of arithmetic, and the attained fraction of the roofline.


def _attained(case: Measurement) -> float | Unavailable:
    """Attainable time by the run's own ceilings over the median step time; 1 is the roofline."""
    if case.step_s is None:
        return _no_steps(case)
    if case.costs.attainable_s is None:
        return Unavailable(case.costs.absent.get("attainable_s", "the run has no ceilings"))
    return case.costs.attainable_s / case.step_s.median


MACS_PER_S: Final = register(Metric(
    name="macs_per_s", unit="1/s", better="higher",
    of=lambda case: case.costs.macs / case.step_s.median if case.step_s else _no_steps(case), placed=True,
))  # fmt: skip

ATTAINED: Final = register(Metric(
    name="attained", unit="1", better="higher", of=_attained, heading="attained",
    style="percent", placed=True,
))  # fmt: skip


# Energy: of the cards and of the processor's packages, as far as either is known, over the timed steps.


def _joules_per_image(case: Measurement, above_idle: bool = False) -> float | Unavailable:
    """Return the energy of all processes together, divided by the number of images that they computed.

    Args:
        case: What was measured.
        above_idle: Whether to subtract what the same sources used in the same time while the machine was idle.
    """
    if not case.metered:
        reasons = dict.fromkeys(case.processes[0].energy.absent.values())
        return Unavailable("; ".join(reasons) or "nothing was read")
    idle = [_idle_joules(p.energy, case.calibration) if above_idle else 0.0 for p, _ in case.metered]
    if any(joules is None for joules in idle):
        return Unavailable("the run has no idle power of the same source")
    total = sum(joules for _, joules in case.metered)
    return (total - sum(joules or 0.0 for joules in idle)) / sum(p.images for p, _ in case.metered)


def _idle_joules(energy: Energy, calibration: Calibration | None) -> float | None:
    """Return what the same sources would have used in the window while idle; None if their idle power is unknown."""
    if calibration is None:
        return None
    idle = calibration.idle
    has_gpu = energy.gpu_counter_joules is not None or energy.gpu_integrated_joules is not None
    idle_watts = [idle.gpu_watts] * has_gpu + [idle.cpu_package_watts] * (energy.cpu_package_joules is not None)
    if any(watts is None for watts in idle_watts):
        return None
    return energy.window_s * sum(watts or 0.0 for watts in idle_watts)


JOULES_PER_IMAGE: Final = register(Metric(
    name="joules_per_image", unit="J", better="lower", of=_joules_per_image, heading="J/image",
    only_if_any=True, placed=True,
))  # fmt: skip

JOULES_PER_IMAGE_ABOVE_IDLE: Final = register(Metric(
    name="joules_per_image_above_idle", unit="J", better="lower", of=partial(_joules_per_image, above_idle=True),
    heading="J/image\nabove idle",
    only_if_any=True, refines="joules_per_image", expected=False, placed=True,
))  # fmt: skip


# Serving: the highest rate of queries whose p99 latency kept the bound.


def _highest_rate(case: Measurement) -> float | Unavailable | None:
    """The median of the processes, the lower of the middle two; a process that kept no rate counts as 0."""
    servers = [p.measured for p in case.processes if isinstance(p.measured, Server)]
    if not servers:
        return None
    rates = sorted(s.highest_rate_hz or 0.0 for s in servers)
    if middle := rates[(len(rates) - 1) // 2]:
        return middle
    kept = sum(rate > 0 for rate in rates)
    some = f" in {len(rates) - kept} of {len(rates)} processes" if kept else ""
    return Unavailable(f"no rate that was tried kept p99 within {servers[0].bound_s:g} s{some}")


HIGHEST_RATE_HZ: Final = register(Metric(
    name="highest_rate_hz", unit="1/s", better="higher", of=_highest_rate, heading="highest rate",
    shown_unit="queries/s", expected=False, placed=True,
))  # fmt: skip
