"""The job of one side of a pair: rests until it is asked to work, and works in short bursts.

`frameworks` may be another checkout's: it is used through `any_frameworks` alone.
"""

from __future__ import annotations

import math
import platform
from typing import Any, Final, Protocol

import numpy as np

from xibench.measure.clock import Clock, MonotonicClock
from xibench.measure.loop import timed
from xibench.measure.machine import move_to
from xibench.measure.phase import Phase, PhaseListener
from xibench.measure.warmup import Warmup, WarmupLimits
from xibench.record.environment import version
from xibench.record.schema import Case
from xibench.workers import any_frameworks
from xibench.workers.messages import (
    Answer,
    Burst,
    Finish,
    Imported,
    PairReport,
    Prepare,
    Ready,
    Request,
    StartPairSide,
    Steps,
)

MIN_WARMUP_STEPS: Final = 10
MAX_WARMUP_STEPS: Final = 200


class Requests(PhaseListener, Protocol):
    """The parent, as far as this job needs it: see `serving.Parent`."""

    def next_request(self) -> Request | None:
        """Waits for a request; None when there will be no more."""

    def answer(self, answer: Answer) -> None:
        """Answers the oldest request that has no answer yet."""


def run_job(request: StartPairSide, parent: Requests) -> PairReport:
    """Imports the framework, then does what is asked, one request after another, up to Finish.

    Raises what the framework raises; EOFError if the parent leaves before.
    """
    parent.on_phase(Phase.IMPORT)
    clock = MonotonicClock()
    any_frameworks.touch(request.case)
    parent.answer(Imported())

    side: _Side | None = None
    timing = False
    while asked := parent.next_request():
        match asked:
            case Prepare(warmup_budget_s=budget_s, core=core):
                move_to(core)
                side = _Side(request, clock, parent)
                parent.answer(side.prepare(budget_s))
            case Burst(seconds=seconds, min_steps=min_steps, core=core) if side is not None:
                if not timing:
                    parent.on_phase(Phase.TIMING)
                    timing = True
                move_to(core)
                parent.answer(Steps(steps_s=side.burst(seconds, min_steps)))
            case Finish() if side is not None:
                parent.on_phase(Phase.DONE)
                return side.report(request.case)
            case _:
                raise ValueError(f"a side of a pair was asked for {type(asked).__name__} before Prepare")
    raise EOFError("the parent left before it asked for the report")


class _Side:
    """A program and its batch, and how they are stepped."""

    def __init__(self, request: StartPairSide, clock: Clock, listener: PhaseListener) -> None:
        self._clock = clock
        self._listener = listener
        listener.on_phase(Phase.BUILD)
        self._slowdown = request.slowdown
        self._program = any_frameworks.prepare(request.case, request.weights)
        self._batch: Any = self._program.put(np.load(request.batch_file, mmap_mode="r"))
        self._output: Any = None

    def prepare(self, budget_s: float) -> Ready:
        """Compiles, then steps until there is no trend, for at most `budget_s` once MIN_WARMUP_STEPS are done."""
        self._listener.on_phase(Phase.COMPILE)
        self._program.compile(self._batch)
        self._listener.on_phase(Phase.FIRST_STEP)
        first_step_s = self._timed()
        self._listener.on_phase(Phase.WARM_UP)
        warmup_s: list[float] = []
        warmup = Warmup(WarmupLimits(MIN_WARMUP_STEPS, MAX_WARMUP_STEPS, budget_s))
        warmup.begin(self._clock.now())
        while (stopped_by := warmup.finished(self._clock.now())) is None:
            warmup_s.append(self._timed())
            warmup.add(warmup_s[-1])
        return Ready(first_step_s=first_step_s, warmup_s=warmup_s, warmup_stopped_by=stopped_by)

    def burst(self, seconds: float, min_steps: int) -> list[float]:
        """Timed steps. The one before them is not counted: the other side has just had the caches and the cores."""
        self._timed()
        until = self._clock.now() + seconds
        steps_s: list[float] = []
        while len(steps_s) < min_steps or self._clock.now() < until:
            steps_s.append(self._timed())
        return steps_s

    def report(self, case: Case) -> PairReport:
        """What the framework read back; the last output is consumed. Raises ArithmeticError if it is not finite."""
        mean = float(np.mean(self._program.result(self._output)["logits"], dtype=np.float64))
        if not math.isfinite(mean):
            raise ArithmeticError(f"the mean of the output is {mean}, expected a finite number; check the weights")
        found = {name: version(name) for name in any_frameworks.distributions(case.framework)}
        known = {name: number for name, number in found.items() if number}
        versions = {"python": platform.python_version()} | known
        return PairReport(versions=versions, settings=self._program.settings(), output_mean=mean)

    def _timed(self) -> float:
        seconds, self._output = timed(self._step, 0, self._synchronise, self._clock)
        return seconds

    def _step(self, _: int) -> Any:
        self._began = self._clock.now()
        return self._program.step(self._batch)

    def _synchronise(self, output: Any) -> None:
        self._program.synchronise(output)
        if self._slowdown:
            until = self._began + (self._clock.now() - self._began) * (1 + self._slowdown)
            while self._clock.now() < until:
                pass
