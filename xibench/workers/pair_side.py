"""The job of one side of a pair of `xibench ab`: idle between requests, it times steps in short bursts.

The package `frameworks` may be another checkout's and is therefore only used through `any_frameworks`.
"""

from __future__ import annotations

import math
import platform
from typing import Any, Final, Protocol

import numpy as np

from xibench.measure.loop import Clock, MonotonicClock, timed
from xibench.measure.machine import move_to
from xibench.measure.memory import HighWaterMark
from xibench.measure.phase import Phase, PhaseListener
from xibench.measure.stopping import Warmup, WarmupLimits
from xibench.record.environment import version
from xibench.record.schema import Case
from xibench.workers import any_frameworks
from xibench.workers.messages import (
    Burst,
    Finish,
    Imported,
    Message,
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
    """The part of the interface of `Parent` that this job needs."""

    def next_request(self) -> Request | None:
        """Wait for a request; None if the parent sends no more."""

    def send(self, message: Message) -> None:
        """Answer the oldest request that has no answer yet."""


def run_side(request: StartPairSide, parent: Requests) -> PairReport:
    """Job: import the framework, then handle one request after another, up to Finish.

    Raises:
        EOFError: The parent sends no more requests before Finish.
        Exception: Whatever the framework raises.
    """
    parent.on_phase(Phase.IMPORT)
    clock = MonotonicClock()
    any_frameworks.touch(request.case)
    mark = HighWaterMark()
    parent.send(Imported())

    side: _Side | None = None
    timing = False
    while following := parent.next_request():
        match following:
            case Prepare(warmup_budget_s=budget_s, core=core):
                move_to(core)
                side = _Side(request, clock, parent, mark)
                parent.send(side.prepare(budget_s))
            case Burst(seconds=seconds, min_steps=min_steps, core=core) if side is not None:
                if not timing:
                    parent.on_phase(Phase.TIMING)
                    timing = True
                move_to(core)
                parent.send(Steps(steps_s=side.burst(seconds, min_steps)))
            case Finish() if side is not None:
                parent.on_phase(Phase.DONE)
                return side.report(request.case)
            case _:
                raise ValueError(f"a side of a pair was asked for {type(following).__name__} before Prepare")
    raise EOFError("the parent left before it asked for the report")


class _Side:
    """A program and its batch."""

    def __init__(
        self, request: StartPairSide, clock: Clock, listener: PhaseListener, mark: HighWaterMark
    ) -> None:
        self._clock, self._mark = clock, mark
        self._listener = listener
        listener.on_phase(Phase.BUILD)
        self._slowdown = request.slowdown
        began = clock.now()
        self._program = any_frameworks.prepare(request.case, request.weights)
        self._batch: Any = self._program.put(np.load(request.batch_file, mmap_mode="r"))
        self._build_s = clock.now() - began
        self._output: Any = None

    def prepare(self, budget_s: float) -> Ready:
        """Compile, then warm up until the steps show no trend, for at most `budget_s` after MIN_WARMUP_STEPS."""
        self._listener.on_phase(Phase.COMPILE)
        began = self._clock.now()
        compiled_ahead = self._program.compile(self._batch)
        compile_s = self._clock.now() - began if compiled_ahead else None
        self._listener.on_phase(Phase.FIRST_STEP)
        first_step_s = self._timed()
        logits = np.asarray(self._program.result(self._output)["logits"][0], dtype=np.float64).tolist()
        self._listener.on_phase(Phase.WARM_UP)
        warmup_s: list[float] = []
        warmup = Warmup(WarmupLimits(MIN_WARMUP_STEPS, MAX_WARMUP_STEPS, budget_s))
        warmup.begin(self._clock.now())
        while (stopped_by := warmup.finished(self._clock.now())) is None:
            warmup_s.append(self._timed())
            warmup.add(warmup_s[-1])
        return Ready(
            logits=logits, build_s=self._build_s, compile_s=compile_s, first_step_s=first_step_s, warmup_s=warmup_s,
            warmup_stopped_by=stopped_by,
        )  # fmt: skip

    def burst(self, seconds: float, min_steps: int) -> list[float]:
        """Time steps, after an untimed one, because the other side has just used the caches and the cores."""
        self._timed()
        until = self._clock.now() + seconds
        steps_s: list[float] = []
        while len(steps_s) < min_steps or self._clock.now() < until:
            steps_s.append(self._timed())
        return steps_s

    def report(self, case: Case) -> PairReport:
        """Return versions, settings and the mean of the last output. Raises ArithmeticError if that is not finite."""
        mean = float(np.mean(self._program.result(self._output)["logits"], dtype=np.float64))
        if not math.isfinite(mean):
            raise ArithmeticError(f"the mean of the output is {mean}, expected a finite number; check the weights")
        found = {name: version(name) for name in any_frameworks.distributions(case.framework)}
        known = {name: number for name, number in found.items() if number}
        versions = {"python": platform.python_version()} | known
        return PairReport(
            versions=versions, settings=self._program.settings(), output_mean=mean, peak_bytes=self._peak_bytes(case),
            substitutions=self._program.substitutions(),
        )  # fmt: skip

    def _peak_bytes(self, case: Case) -> int | None:
        """Return the peak of memory in bytes as run files have it; None if it cannot be read."""
        if case.device != "cpu":
            return self._program.device_peak_bytes()
        peak_bytes = self._mark.read().peak_bytes
        return None if peak_bytes is None else peak_bytes - self._mark.baseline_bytes

    def _timed(self) -> float:
        """Return the duration of one synchronised step in seconds."""
        seconds, self._output = timed(self._step, 0, self._synchronise, self._clock)
        return seconds

    def _step(self, _: int) -> Any:
        self._began = self._clock.now()
        return self._program.step(self._batch)

    def _synchronise(self, output: Any) -> None:
        """Wait for the device, then busy-wait for the share of the step's duration that the slowdown asks for."""
        self._program.synchronise(output)
        if self._slowdown:
            until = self._began + (self._clock.now() - self._began) * (1 + self._slowdown)
            while self._clock.now() < until:
                pass
