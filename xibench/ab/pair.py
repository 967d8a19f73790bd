"""One pair of processes, one per side: both are alive, and they work in turns, in short bursts in random order."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from frameworks.api import THIRD_PARTY
from xibench.ab.sides import Side
from xibench.measure.machine import usable_cores
from xibench.measure.phase import Phase
from xibench.record.files import ScratchFolder
from xibench.record.pairs import SAME_OUTPUT, Pair, PairSide
from xibench.record.schema import Case, Status
from xibench.run.gate import rms_error
from xibench.run.plan import weights_seed
from xibench.workers.messages import Burst, Finish, Imported, PairReport, Prepare, Ready, StartPairSide, Steps
from xibench.workers.session import Observer, Unobserved, WorkerFailed, WorkerOutcome, WorkerSession


@dataclass(frozen=True, slots=True)
class BurstConfig:
    """How the two processes of a pair alternate.

    Attributes:
        burst_s: Minimum duration of a burst's timed steps, in seconds.
        min_steps: Minimum number of timed steps in a burst.
        pair_s: Approximate duration of the timed steps of a pair, both sides together, in seconds.
        min_bursts, max_bursts: Limits on the number of bursts per side.
        warmup_budget_s: Duration of the warm-up of each side, in seconds.
        time_limit_s: Limit for each answer of a worker, in seconds.
        start_apart: Whether the second process starts after the first has imported its framework, because the start is
            compared as well.
    """

    burst_s: float = 0.01
    min_steps: int = 1
    pair_s: float = 3.0
    min_bursts: int = 5
    max_bursts: int = 100
    warmup_budget_s: float = 0.4
    time_limit_s: float = 300.0
    start_apart: bool = False

    def count(self, step_s: float) -> int:
        """Return the number of bursts per side that fit into `pair_s`, each with one untimed step before it."""
        one = max(self.burst_s, self.min_steps * step_s) + step_s
        return min(self.max_bursts, max(self.min_bursts, round(self.pair_s / (2 * one))))


def measure_pair(
    case: Case, sides: tuple[Side, Side], number: int, batch_file: Path, bursts: BurstConfig, rng: random.Random,
    programs: Path, observer: Observer | None = None,
) -> Pair:  # fmt: skip
    """Measure one pair: start a fresh worker per side, let them alternate, and end them.

    Both workers import their framework at the same time, unless the start is compared. Afterwards only one works at a
    time. Which one is started and warmed up first is random for each pair, because the order has an effect of its own
    (docs/decisions.md). The core on which the main threads of both start every burst is random too: cores are not
    equally fast, and a process that stayed on the slower one would appear slower.

    Args:
        case: The case to measure.
        sides: Base and new.
        number: Number of the pair among those of its case, from 0.
        batch_file: The input.
        bursts: How the two processes alternate.
        rng: Source of randomness.
        programs: Existing folder for what compilers keep; each worker gets a subfolder of its own.
        observer: Reads the machine's conditions between bursts, while neither side works.

    Returns:
        The pair; if a worker failed, with its status and reason instead of an estimate.
    """
    observer = observer or Unobserved()
    began = time.monotonic()
    started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
    measured, new_first = list[PairSide](), list[bool]()
    order, core = rng.sample((0, 1), 2), rng.choice(usable_cores())
    status: Status = "ok"
    reason, log, error = None, None, None
    try:
        with ExitStack() as stack:
            workers, start_s = _start_both(stack, case, sides, order, batch_file, programs, bursts)
            prepared = {i: _prepare(workers[i], bursts, core) for i in order}
            ready = [prepared[0], prepared[1]]
            error = rms_error(np.array(ready[1].logits), np.array(ready[0].logits))
            _require_same_network(case, sides, error)
            step_s = max(statistics.median(side.warmup_s) for side in ready)
            new_first = [rng.random() < 0.5 for _ in range(bursts.count(step_s))]
            observer.on_phase(Phase.TIMING)
            timed = _alternate(workers, new_first, bursts, core, observer)
            observer.on_phase(Phase.DONE)
            measured = [_pair_side(*side, bursts) for side in zip(workers, ready, timed, start_s, strict=True)]
    except WorkerFailed as failed:
        status, reason, log = failed.outcome.status, failed.outcome.reason, failed.outcome.log
    return Pair(
        case=case, number=number, started_utc=started_utc, wall_s=time.monotonic() - began,
        new_started_first=order[0] == 1, core=core, new_first=new_first,
        base=measured[0] if measured else None, new=measured[1] if measured else None,
        output_error=error,
        log_ratio=log_ratio(measured[0].bursts_s, measured[1].bursts_s) if measured else None,
        disturbed=[], superseded=False, status=status, reason=reason, log=log,
    )  # fmt: skip


def log_ratio(base: Sequence[Sequence[float]], new: Sequence[Sequence[float]]) -> float:
    """Return a pair's estimate: the median over its bursts of log(median step of new / median step of base)."""
    medians = [(statistics.median(b), statistics.median(n)) for b, n in zip(base, new, strict=True)]
    return statistics.median(math.log(n / b) for b, n in medians)


def _require_same_network(case: Case, sides: tuple[Side, Side], error: float) -> None:
    """Raise WorkerFailed if two of our implementations differ in their outputs, before anything is timed."""
    names = [side.case(case).framework for side in sides]
    if names[0] == names[1] or any(name in THIRD_PARTY for name in names) or error <= SAME_OUTPUT[case.precision]:
        return
    allowed = f"{SAME_OUTPUT[case.precision]:.0e} in {case.precision}"
    raise WorkerFailed(WorkerOutcome("failed", (
        f"the outputs of {names[0]} and {names[1]} differ by {error:.2g} (relative RMS), allowed are {allowed}: "
        f"not the same network; `xibench verify {case.model}` finds the layer"
    )))  # fmt: skip


def _start_both(
    stack: ExitStack, case: Case, sides: tuple[Side, Side], order: Sequence[int], batch_file: Path, programs: Path,
    bursts: BurstConfig,
) -> tuple[list[WorkerSession], list[float | None]]:  # fmt: skip
    """Start both workers, in this order, and wait until they have imported their framework.

    Returns:
        The workers of base and new, and how long each took, in seconds; None if they started at the same time.
    """
    workers: dict[int, WorkerSession] = {}
    start_s: list[float | None] = [None, None]
    for i in order:
        began = time.monotonic()
        own = stack.enter_context(ScratchFolder("worker-", str(programs)))
        variables = sides[i].environment(Path(own))
        if not bursts.start_apart:  # no start is timed: the header that compilers share is compiled once, not per pair
            variables["TMPDIR"] = str(programs)
        workers[i] = stack.enter_context(_start(case, sides[i], batch_file, variables))
        if bursts.start_apart:
            workers[i].receive(Imported, bursts.time_limit_s)
            start_s[i] = time.monotonic() - began
    if not bursts.start_apart:
        for i in (0, 1):
            workers[i].receive(Imported, bursts.time_limit_s)
    return [workers[0], workers[1]], start_s


def _start(case: Case, side: Side, batch_file: Path, variables: Mapping[str, str]) -> WorkerSession:
    own = side.case(case)
    seed = weights_seed(own.weights)
    session = WorkerSession(side.command(own), variables)
    session.send(StartPairSide(
        case=own, batch_file=str(batch_file), weights=own.weights if seed is None else seed, slowdown=side.slowdown
    ))  # fmt: skip
    return session


def _prepare(worker: WorkerSession, bursts: BurstConfig, core: int) -> Ready:
    worker.send(Prepare(warmup_budget_s=bursts.warmup_budget_s, core=core))
    return worker.receive(Ready, bursts.time_limit_s)


def _alternate(
    workers: Sequence[WorkerSession], new_first: Sequence[bool], bursts: BurstConfig, core: int, observer: Observer
) -> list[list[list[float]]]:
    """Run all bursts and return, per side, the timed steps of each burst in seconds."""
    timed: list[list[list[float]]] = [[], []]
    burst = Burst(seconds=bursts.burst_s, min_steps=bursts.min_steps, core=core)
    for first in new_first:
        for side in (1, 0) if first else (0, 1):
            workers[side].send(burst)
            timed[side].append(workers[side].receive(Steps, bursts.time_limit_s).steps_s)
        observer.on_tick()
    return timed


def _pair_side(
    worker: WorkerSession, ready: Ready, timed: list[list[float]], start_s: float | None, bursts: BurstConfig
) -> PairSide:
    worker.send(Finish())
    report = worker.receive(PairReport, bursts.time_limit_s)
    return PairSide(
        versions=report.versions, settings=report.settings, start_s=start_s, build_s=ready.build_s,
        compile_s=ready.compile_s, first_step_s=ready.first_step_s, warmup_s=ready.warmup_s,
        warmup_stopped_by=ready.warmup_stopped_by, bursts_s=timed, peak_bytes=report.peak_bytes,
        output_mean=report.output_mean, substitutions=report.substitutions,
    )  # fmt: skip
