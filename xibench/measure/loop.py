"""The timing loop, one function of callables, and the clock that it reads. It knows no framework and writes no file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final, Generic, Protocol, TypeVar

from xibench.measure.phase import Phase
from xibench.measure.stopping import StoppingRule

Output = TypeVar("Output")
SPIN_S: Final = 0.0005  # busy-wait for the last part of a wait: the kernel wakes a sleeper up to about 0.1 ms late


class Clock(Protocol):
    """The interface of the timing loop to a clock."""

    @property
    def name(self) -> str:
        """Name for the record, including the platform's clock behind it."""

    @property
    def resolution_s(self) -> float | None:
        """Smallest difference in seconds that the platform promises to resolve; None if not applicable."""

    def now(self) -> float:
        """Return the seconds since an arbitrary moment; never decreases."""

    def wait_until(self, moment_s: float) -> None:
        """Return when `now()` has reached `moment_s`; immediately if that is in the past."""


class MonotonicClock:
    """Python's `time.perf_counter`: monotonic, the clock with the highest resolution on the platform."""

    name: Final = f"time.perf_counter, {time.get_clock_info('perf_counter').implementation}"
    resolution_s: Final[float | None] = time.get_clock_info("perf_counter").resolution

    def now(self) -> float:
        """Return the seconds since an arbitrary moment."""
        return time.perf_counter()

    def wait_until(self, moment_s: float) -> None:
        """Sleep until half a millisecond before the moment, then busy-wait."""
        while (left := moment_s - time.perf_counter()) > 0:
            if left > SPIN_S:
                time.sleep(left - SPIN_S)


@dataclass(frozen=True, slots=True)
class Samples(Generic[Output]):
    """Every step of one process, in seconds, in the order taken; and the last output, for the caller to consume."""

    first_step_s: float
    warmup_s: list[float]  # discarded
    warmup_stopped_by: str
    steps_s: list[float]
    device_steps_s: list[float] | None  # the same steps on the device's own clock; None where it did not tell of each
    stopped_by: str
    output: Output


def measure(
    step: Callable[[int], Output],
    synchronise: Callable[[Output], None],
    warmup: StoppingRule,
    rule: StoppingRule,
    clock: Clock,
    on_phase: Callable[[Phase], None],
    device_time: Callable[[], float | None] | None = None,
) -> Samples[Output]:
    """First step, warm-up, timed steps; each is synchronised before the clock is read.

    step: gets the running number of the step, from 0 for the first one, so that the caller can rotate its inputs.
    on_phase: called before a phase starts (FIRST_STEP, WARM_UP, TIMING) and at the end (DONE), never between two steps
    of one phase, so that nothing disturbs the timing.
    device_time: seconds that the step just taken was busy on the device's own clock; None where there is none. Asked
    after each timed step, once the host's clock was read.
    Raises whatever `step` raises.
    """
    on_phase(Phase.FIRST_STEP)
    first_step_s, output = timed(step, 0, synchronise, clock)
    on_phase(Phase.WARM_UP)
    warmup_s: list[float] = []
    warmup.begin(clock.now())
    while (warmup_stopped_by := warmup.finished(clock.now())) is None:
        seconds, output = timed(step, 1 + len(warmup_s), synchronise, clock)
        warmup_s.append(seconds)
        warmup.add(seconds)
    on_phase(Phase.TIMING)
    steps_s: list[float] = []
    device_s: list[float | None] = []
    rule.begin(clock.now())
    while (stopped_by := rule.finished(clock.now())) is None:
        seconds, output = timed(step, 1 + len(warmup_s) + len(steps_s), synchronise, clock)
        steps_s.append(seconds)
        rule.add(seconds)
        if device_time is not None:
            device_s.append(device_time())
    on_phase(Phase.DONE)

    # A series in which a step is missing is none.
    known = [seconds for seconds in device_s if seconds is not None]
    device_steps_s = known if known and len(known) == len(steps_s) else None
    return Samples(first_step_s, warmup_s, warmup_stopped_by, steps_s, device_steps_s, stopped_by, output)


def timed(
    step: Callable[[int], Output], number: int, synchronise: Callable[[Output], None], clock: Clock
) -> tuple[float, Output]:
    """Seconds that one step took until the device had finished, and its output.

    The output is returned alive: it is freed by the caller, after the clock was read.
    """
    started = clock.now()
    output = step(number)
    synchronise(output)
    return clock.now() - started, output


def overhead_s(clock: Clock, synchronise: Callable[[Output], None], output: Output, steps: int = 501) -> float:
    """What the loop measures for a step that does nothing: median over `steps`, in seconds.

    output: of a step that the device has finished. The empty step returns it, so that `synchronise` finds nothing to
    wait for: what it costs then is in every step's figure, and in this one.
    """
    return median(timed(lambda _: output, number, synchronise, clock)[0] for number in range(steps))


def read_cost_s(clock: Clock, batches: int = 25, readings: int = 100) -> float:
    """Return the duration of one clock reading in seconds: the median over batches of consecutive readings."""
    costs = []
    for _ in range(batches):
        began = clock.now()
        for _ in range(readings - 1):
            clock.now()
        costs.append((clock.now() - began) / readings)
    return median(costs)
