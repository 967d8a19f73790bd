"""The loop: one function of callables. It knows no framework, prints nothing and writes no file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xibench.measure.clock import Clock
from xibench.measure.stopping import StoppingRule

Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class Samples(Generic[Output]):
    """Every step of one process, in seconds, in the order taken; and the last output, for the caller to consume."""

    first_step_s: float
    warmup_s: list[float]
    steps_s: list[float]
    stopped_by: str
    output: Output


def measure(
    step: Callable[[], Output],
    synchronise: Callable[[Output], None],
    rule: StoppingRule,
    clock: Clock,
    warmup_steps: int,
    told: Callable[[str], None],
) -> Samples[Output]:
    """First step, warm-up, timed steps; each is synchronised before the clock is read.

    `told` hears of a phase before it starts and never between two steps of one, so that nothing disturbs the timing.
    Raises whatever `step` raises.
    """
    told("first step")
    first_step_s, output = timed(step, synchronise, clock)
    told("warm-up")
    warmup_s = []
    for _ in range(warmup_steps):
        seconds, output = timed(step, synchronise, clock)
        warmup_s.append(seconds)
    told("timing")
    steps_s: list[float] = []
    rule.begin(clock.now())
    while (stopped_by := rule.finished(clock.now())) is None:
        seconds, output = timed(step, synchronise, clock)
        steps_s.append(seconds)
        rule.add(seconds)
    return Samples(first_step_s, warmup_s, steps_s, stopped_by, output)


def timed(step: Callable[[], Output], synchronise: Callable[[Output], None], clock: Clock) -> tuple[float, Output]:
    """Seconds that one step took until the device had finished, and its output.

    The output is returned alive: it is freed by the caller, after the clock was read.
    """
    started = clock.now()
    output = step()
    synchronise(output)
    return clock.now() - started, output
