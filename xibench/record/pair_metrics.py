"""What `xibench ab` compares the two processes of a pair by: the time per step and, on request, further figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xibench.errors import UsageError
from xibench.record.pairs import Pair, PairSide
from xibench.record.schema import Case

STEP: Final = "step"
JOB: Final = "job"


@dataclass(frozen=True, slots=True)
class PairMetric:
    """A figure of one process of a pair; less is better.

    Attributes:
        name: As on the command line, such as `first-step` or `job:1000`.
        label: As people read it, such as `first step`.
        value: The figure of a side, in seconds or bytes; None if the side does not have it.
        absent: Why a side may not have it, and what to do.
        is_time: Whether the figure is a time, so that less of it is faster.
        from_start: Whether the start of the process is part of it, so that the two sides must not start at once.
    """

    name: str
    label: str
    value: Callable[[PairSide, Case], float | None]
    absent: str = "files of pairs written by an earlier xibench do not have it"
    is_time: bool = True
    from_start: bool = False

    def log_ratio(self, pair: Pair) -> float | None:
        """Return log(new / base) of a pair; None if a side does not have the figure, or the pair failed."""
        if self.name == STEP or pair.base is None or pair.new is None:
            return pair.log_ratio
        base, new = (self.value(side, pair.case) for side in (pair.base, pair.new))
        return math.log(new / base) if base and new else None


def step_s(side: PairSide, _: Case | None = None) -> float:
    """Return the time per step of a side, in seconds: the median of its timed steps."""
    return statistics.median(step for burst in side.bursts_s for step in burst)


def _first_result_s(side: PairSide, _: Case) -> float | None:
    return (side.compile_s or 0.0) + side.first_step_s


def _job(images: int) -> PairMetric:
    """Return the metric of the time for a number of images in whole batches, with the start of the process."""

    def seconds(side: PairSide, case: Case) -> float | None:
        if side.start_s is None or side.build_s is None:
            return None
        start_s = side.start_s + side.build_s + (side.compile_s or 0.0)
        return start_s + side.first_step_s + (math.ceil(images / case.batch) - 1) * step_s(side)

    return PairMetric(f"{JOB}:{images}", f"time for {images:,} images, start included", seconds, from_start=True)


METRICS: Final = {
    metric.name: metric
    for metric in (
        PairMetric(STEP, "time per step", step_s),
        PairMetric(
            "compile", "compile time", lambda side, _: side.compile_s,
            "a side compiles nothing ahead of its first step; `--metric first-result` covers both",
        ),
        PairMetric("first-step", "first step", lambda side, _: side.first_step_s),
        PairMetric("first-result", "compile time and first step", _first_result_s),
        PairMetric(
            "memory", "peak memory", lambda side, _: side.peak_bytes,
            "a side's peak memory cannot be read on this machine", is_time=False,
        ),
    )
}  # fmt: skip
FORMS: Final = f"{', '.join(METRICS)} or {JOB}:N (the time for N images, start included)"


def find(name: str) -> PairMetric:
    """Return a metric of `xibench ab` by its name.

    Raises:
        UsageError: There is none of this name.
    """
    kind, colon, number = name.partition(":")
    if kind == JOB and colon and number.isascii() and number.isdigit() and int(number) > 0:
        return _job(int(number))
    if name not in METRICS:
        raise UsageError(f"--metric: received {name}, expected {FORMS}")
    return METRICS[name]
