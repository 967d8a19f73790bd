"""The loop: one function of callables. It knows no framework, prints nothing and writes no file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from xibench.measure.clock import Clock
from xibench.measure.phase import Phase
from xibench.measure.stopping import StoppingRule

Output = TypeVar("Output")


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
    return Samples(first_step_s, warmup_s, warmup_stopped_by, steps_s, _complete(device_s), stopped_by, output)


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


def _complete(series: list[float | None]) -> list[float] | None:
    """The series if it is not empty and none of it is missing."""
    known = [seconds for seconds in series if seconds is not None]
    return known if known and len(known) == len(series) else None
