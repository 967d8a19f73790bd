"""The parent process of a run: it starts one fresh worker at a time and appends a line to the run file after each.

It imports no framework and keeps no batch in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from frameworks.api import IMPLEMENTATIONS
from frameworks.process import process_environment
from xibench.errors import Interrupted, StoreError
from xibench.record.schema import Attempt, Calibration, Case, Process, Record, Status, Surroundings
from xibench.record.store import RunFile, resume_command
from xibench.run import plan
from xibench.run.ceilings import calibrate as measure_ceilings
from xibench.run.ceilings import costs
from xibench.run.gate import EqualityGate, NoGoldenOutputs
from xibench.run.monitor import ConditionMonitor, WorkerMonitor
from xibench.run.schedule import ProcessSlot, RunBudget, may_repeat, not_tried, remaining_slots
from xibench.workers import inputs, session
from xibench.workers.messages import MeasureCase, Measured
from xibench.workers.session import run_worker


class RunObserver(Protocol):
    """Callbacks that report the progress of a run."""

    def preparing(self, text: str) -> None:
        """Called before each stage that precedes the first process, such as `ceilings in jax`."""

    def started(self, case: Case, index: int, total: int) -> None:
        """Called when a process of this case starts. index: how many of the run's `total` processes are settled."""

    def phase(self, case: Case, text: str) -> None:
        """Called when the case's worker enters a phase: import, build, compile, first step, warm-up, timing."""

    def finished(self, record: Record) -> None:
        """Called when a process has ended and is on the disk: the last of `record`, which has all of its case."""

    def warned(self, text: str) -> None:
        """Called with a one-line warning for the user; the run continues."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """State shared by all processes of a run."""

    run_file: RunFile
    watch: RunObserver
    conditions: ConditionMonitor
    folder: Path  # for batches and compiler caches, deleted when the run ends
    worker: Sequence[str] | None  # a command to start instead of our own worker
    gate: EqualityGate | None  # None: the outputs of a fake worker are not compared
    budget: RunBudget

    @property
    def ceilings(self) -> Calibration | None:
        """The ceilings of the environment in which the run is now; None if they were not measured."""
        last = self.run_file.calibrations[-1:]
        return last[0] if last and last[0].environment == self.run_file.environment_hash else None


def run(
    todo: Sequence[Case],
    run_file: RunFile,
    watch: RunObserver,
    worker: Sequence[str] | None = None,
    calibrate: bool = True,
    conditions: ConditionMonitor | None = None,
) -> list[Record]:
    """Measure the pending processes of these cases, in the order of `remaining_slots`.

    A worker that dies, hangs, writes rubbish or takes too much memory is recorded as an attempt. Each attempt is in
    the run file before the next process starts, so the file is valid at any time.

    Args:
        todo: cases of the run file's plan.
        run_file: gets one line per process, and one for the ceilings unless it has those of this environment.
        watch: receives callbacks about the run's progress.
        worker: a command to start instead of our own worker; its outputs are not compared.
        calibrate: whether ceilings and idle power are measured first.
        conditions: replaces the monitor that reads this machine.

    Returns:
        The records of these cases.

    Raises:
        Interrupted: on Ctrl-C, with the command that resumes the run.
        InputError, StoreError: a batch cannot be read or written, or the run file cannot be written.
    """
    selected, sampling = set(todo), run_file.header.sampling
    total = len(run_file.header.plan) * sampling.processes
    budget = RunBudget(sampling, run_file.index.attempts)
    try:
        scratch = tempfile.TemporaryDirectory(prefix="xibench-")
    except OSError as error:
        raise StoreError(
            f"no temporary folder for the batch can be made: {error.strerror}; make room, or name a folder in TMPDIR"
        ) from None
    try:
        with scratch as folder, closing(conditions or ConditionMonitor(run_file.index.attempts)) as monitor:
            gate = None if worker else EqualityGate(Path(folder), sampling.memory_limit_bytes, todo)
            context = RunContext(run_file, watch, monitor, Path(folder), worker, gate, budget)
            if todo and calibrate and context.ceilings is None:
                run_file.append(measure_ceilings(todo, run_file.environment_hash, monitor, watch.preparing))
            for slot in remaining_slots(run_file.index, selected):
                watch.started(slot.case, run_file.index.settled, total)
                run_file.append(_attempt(slot, context))
                watch.finished(run_file.index.record(slot.case))
    except KeyboardInterrupt:
        cure = f"go on with `{resume_command(run_file.path)}`"
        raise Interrupted(f"interrupted after {run_file.index.settled} of {total} processes; {cure}") from None
    return [record for record in run_file.index.records() if record.case in selected]


def _attempt(slot: ProcessSlot, context: RunContext) -> Attempt:
    """Run one process, unless there is a reason to skip it, and return its attempt."""
    case, sampling, order = slot.case, context.run_file.header.sampling, len(context.run_file.index.attempts)

    # A case is skipped if a smaller batch ran out of memory, or if its output could not be checked.
    if reason := not_tried(case, context.run_file.index):
        return _line(slot, context, "out_of_memory", reason)
    golden = context.gate.golden_outputs(case, lambda text: context.watch.phase(case, text)) if context.gate else None
    if isinstance(golden, NoGoldenOutputs):
        return _line(slot, context, golden.status, golden.reason)

    # Compiler caches are cold: each process has its own. A sweep keeps one batch file at a time, or it fills the disk.
    command = context.worker or session.worker_command(case.framework)
    execution = plan.execution(case)
    variables = session.worker_environment() | process_environment(IMPLEMENTATIONS[case.framework], execution)
    variables["TORCHINDUCTOR_CACHE_DIR"] = str(context.folder / f"inductor-{order}")
    batch_file = str(inputs.batch_file(case, context.folder, keep_others=not sampling.sweep))

    # The first process of each network with seeded weights reports the digest of the weights that the seed gave.
    known_digest = context.run_file.index.weights_digest(case)
    digest_weights = known_digest is None and plan.weights_seed(case.weights) is not None

    # This process reads conditions before, during and after the worker, and energy over its timed steps.
    pending = len(context.run_file.header.plan) * sampling.processes - context.run_file.index.settled
    observer = WorkerMonitor(context.conditions, lambda text: context.watch.phase(case, text))
    request = MeasureCase(
        case=case, execution=msgspec.to_builtins(execution), sampling=sampling, batch_file=batch_file, order=order,
        golden=golden, share_s=context.budget.share_s(pending),
        digest_weights=digest_weights,
    )  # fmt: skip
    outcome = run_worker(
        command, variables, request, Measured, sampling.time_limit_s, sampling.memory_limit_bytes, observer
    )
    surroundings = observer.end()
    process = outcome.result.process if outcome.result else None
    if process and observer.energy:
        process = msgspec.structs.replace(process, energy=observer.energy)
    return _line(slot, context, outcome.status, outcome.reason, outcome.log, surroundings, process)


def _line(
    slot: ProcessSlot,
    context: RunContext,
    status: Status,
    reason: str | None,
    log: str | None = None,
    surroundings: Surroundings | None = None,
    process: Process | None = None,
) -> Attempt:
    """Return the attempt as a line of the run file; a disturbed one is superseded while repetitions are left."""
    run_file = context.run_file
    disturbed = process is not None and surroundings is not None and bool(surroundings.disturbed)
    return Attempt(
        case=slot.case,
        number=slot.number,
        order=len(run_file.index.attempts),
        status=status,
        reason=reason,
        log=log,
        costs=costs(slot.case, context.ceilings),
        environment=run_file.environment_hash,
        surroundings=surroundings,
        process=process,
        superseded=disturbed and may_repeat(slot.case, run_file.index),
    )

