"""One side of a pair: rests until it is told to work, and works in short bursts.

`python -m xibench.workers.pair_worker PIPE`: the request and then orders come as lines on standard input, answers go to
the inherited pipe. `frameworks` may be another checkout's: only what every version of it has is used (prepare, put,
compile, step, synchronise, fetch, settings).
"""

from __future__ import annotations

import math
import os
import platform
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.runtime import FRAMEWORKS, Subject, load
from frameworks.weights import resolve
from xibench.measure.clock import Clock, MonotonicClock
from xibench.measure.loop import timed
from xibench.measure.machine import move_to
from xibench.measure.warmup import Warmup, WarmupLimits
from xibench.record.environment import version
from xibench.record.schema import Case
from xibench.workers.failures import one_line, status_of
from xibench.workers.pair_messages import (
    Burst,
    Finish,
    Imported,
    Order,
    PairAnswer,
    PairRequest,
    Prepare,
    Ready,
    Report,
    Steps,
    Trouble,
)

LEAST_WARMUP_STEPS: Final = 10
MOST_WARMUP_STEPS: Final = 200


def main() -> None:
    """Takes the request and its orders; ends with the last of them, or with its parent."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)

    def say(answer: PairAnswer) -> None:
        os.write(pipe, msgspec.json.encode(answer) + b"\n")

    try:
        serve(sys.stdin.buffer.readline, say, MonotonicClock())
    except (MissingFramework, Unsupported) as error:
        say(Trouble("unsupported", one_line(error)))
    except Exception as error:  # whatever a framework raises is this pair's result
        traceback.print_exc()
        say(Trouble(status_of(error), one_line(error)))
    sys.stderr.flush()
    os._exit(0)  # some frameworks crash while the interpreter shuts down


def serve(next_line: Callable[[], bytes], say: Callable[[PairAnswer], None], clock: Clock) -> None:
    """Imports the framework, then carries out one order after another until they end."""
    request = msgspec.json.decode(next_line(), type=PairRequest)
    _begin(request.case)
    runtime = load(request.case.framework)
    runtime.touch(request.case.device)
    say(Imported())
    side: _Side | None = None
    while line := next_line():
        match msgspec.json.decode(line, type=Order):
            case Prepare(warmup_budget_s=budget_s, core=core):
                move_to(core)
                side = _Side(request, clock)
                say(side.prepare(budget_s))
            case Burst(seconds=seconds, least=least, core=core):
                assert side is not None
                move_to(core)
                say(Steps(side.burst(seconds, least)))
            case Finish():
                assert side is not None
                say(side.report(request.case))
                return


class _Side:
    """A subject and its batch, and how they are stepped."""

    def __init__(self, request: PairRequest, clock: Clock) -> None:
        self._clock = clock
        self._slowdown = request.slowdown
        self._subject = _build(request.case, request.weights)
        self._batch: Any = self._subject.put(np.load(request.batch_file, mmap_mode="r"))
        self._output: Any = None

    def prepare(self, budget_s: float) -> Ready:
        """Compiles, then steps until there is no trend, for at most `budget_s` once LEAST_WARMUP_STEPS are done."""
        self._subject.compile(self._batch)
        first_step_s = self._timed()
        warmup_s: list[float] = []
        warmup = Warmup(WarmupLimits(LEAST_WARMUP_STEPS, MOST_WARMUP_STEPS, budget_s))
        warmup.begin(self._clock.now())
        while (stopped_by := warmup.finished(self._clock.now())) is None:
            warmup_s.append(self._timed())
            warmup.add(warmup_s[-1])
        return Ready(first_step_s, warmup_s, stopped_by)

    def burst(self, seconds: float, least: int) -> list[float]:
        """Timed steps. The one before them is not counted: the other side has just had the caches and the cores."""
        self._timed()
        until = self._clock.now() + seconds
        steps_s: list[float] = []
        while len(steps_s) < least or self._clock.now() < until:
            steps_s.append(self._timed())
        return steps_s

    def report(self, case: Case) -> Report:
        """What the framework read back; the last output is consumed. Raises ArithmeticError if it is not finite."""
        mean = float(np.mean(self._subject.fetch(self._output), dtype=np.float64))
        if not math.isfinite(mean):
            raise ArithmeticError(f"the mean of the output is {mean}, expected a finite number; check the weights")
        found = {name: version(name) for name in _distributions(case.framework)}
        known = {name: number for name, number in found.items() if number}
        return Report({"python": platform.python_version()} | known, self._subject.settings(), mean)

    def _timed(self) -> float:
        seconds, self._output = timed(self._step, 0, self._synchronise, self._clock)
        return seconds

    def _step(self, _: int) -> Any:
        self._began = self._clock.now()
        return self._subject.step(self._batch)

    def _synchronise(self, output: Any) -> None:
        self._subject.synchronise(output)
        if self._slowdown:
            until = self._began + (self._clock.now() - self._began) * (1 + self._slowdown)
            while self._clock.now() < until:
                pass


def _begin(case: Case) -> None:
    try:
        from frameworks import beginning
    except ImportError:  # a checkout from before a recipe could
        return
    beginning.begin(case.framework, case.recipe, case.device)


def _distributions(name: str) -> tuple[str, ...]:
    try:
        from frameworks.runtime import distributions
    except ImportError:  # a checkout from before there were contenders
        return FRAMEWORKS[name].distributions
    return distributions(name)


def _build(case: Case, source: str | int) -> Subject:
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    weights = resolve(blueprint, source)
    return load(case.framework).prepare(blueprint, weights, case.recipe, case.precision, case.device)


if __name__ == "__main__":
    main()
