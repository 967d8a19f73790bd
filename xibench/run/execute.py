"""The parent of a run: a fresh process at a time, and a line in the run file as soon as it has ended.

It imports no framework and keeps no batch in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
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
from xibench.run.budget import RunBudget
from xibench.run.calibrate import calibrate as measure_ceilings
from xibench.run.case_costs import costs
from xibench.run.gate import EqualityGate, NoGoldenOutputs
from xibench.run.monitor import ConditionMonitor
from xibench.run.schedule import ProcessSlot, Schedule, may_repeat, not_tried
from xibench.workers import inputs, session
from xibench.workers.messages import GoldenOutputs, MeasureCase, Measured
from xibench.workers.session import run_worker


class RunObserver(Protocol):
    """Who follows a run."""

    def preparing(self, text: str) -> None:
        """Before the first process: what is measured now, such as `ceilings in jax`."""

    def started(self, case: Case, index: int, total: int) -> None:
        """A process of this case begins. index: how many of the run's `total` processes are settled already."""

    def phase(self, case: Case, text: str) -> None:
        """The case's worker now does this: import, build, compile, first step, warm-up, timing."""

    def finished(self, record: Record) -> None:
        """A process has ended and is on the disk: the last of `record`, which holds its case's processes so far."""

    def warned(self, text: str) -> None:
        """Something that the user should know, in one line; the run goes on."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every process of a run needs."""

    run_file: RunFile
    watch: RunObserver
    conditions: ConditionMonitor
    folder: Path  # for batches and what compilers keep, deleted when the run ends
    worker: Sequence[str] | None  # a command to start instead of our own worker
    gate: EqualityGate | None  # None: the outputs of a fake worker are compared with nothing
    budget: RunBudget

    @property
    def ceilings(self) -> Calibration | None:
        """Those of the environment that the run is in now."""
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
    """Measures the processes that these cases of the plan still need, in the order of `Schedule`.

    A worker that dies, hangs, writes rubbish or takes too much memory is an attempt like any other. Each attempt is in
    the run file before the next one begins, so that the file is valid whatever happens.

    Args:
        todo: cases of the run file's plan.
        run_file: gets a line for each process, and one for the ceilings unless it has those of this environment.
        watch: follows the run.
        worker: a command to start instead of our own worker; its outputs are compared with nothing.
        calibrate: whether ceilings and idle power are measured first.
        conditions: in place of the monitor that reads this machine.

    Returns:
        The records of these cases.

    Raises:
        Interrupted: on Ctrl-C, with the command that resumes the run.
        InputError, StoreError: a batch cannot be read or written, or the run file cannot be written.
    """
    wanted, sampling = set(todo), run_file.header.sampling
    total = len(run_file.header.plan) * sampling.processes
    budget = RunBudget(sampling, run_file.attempts)
    try:
        with conditions or ConditionMonitor(run_file.attempts) as monitor, _scratch_folder() as folder:
            gate = None if worker else EqualityGate(Path(folder), sampling.memory_limit_bytes, todo)
            context = RunContext(run_file, watch, monitor, Path(folder), worker, gate, budget)
            if todo and calibrate and context.ceilings is None:
                run_file.append(measure_ceilings(todo, run_file.environment_hash, monitor, watch.preparing))
            schedule = Schedule(run_file.index, wanted)
            while slot := schedule.next_slot():
                watch.started(slot.case, run_file.index.settled, total)
                run_file.append(_attempt(slot, context))
                watch.finished(run_file.index.record(slot.case))
    except KeyboardInterrupt:
        cure = f"go on with `{resume_command(run_file.path)}`"
        raise Interrupted(f"interrupted after {run_file.index.settled} of {total} processes; {cure}") from None
    return [record for record in run_file.records() if record.case in wanted]


def _attempt(slot: ProcessSlot, context: RunContext) -> Attempt:
    """What came of one process: not started for a good reason, or measured, or failed."""
    case = slot.case

    # A case is not started where a smaller batch ran out of memory, or where nothing says whether its output is right.
    if reason := not_tried(case, context.run_file.index):
        return _line(slot, context, "out_of_memory", reason)
    golden = None
    if context.gate is not None:
        if context.gate.needs_computing(case):
            context.watch.phase(case, "float64 reference")
        golden = context.gate.golden_outputs(case)
    if isinstance(golden, NoGoldenOutputs):
        return _line(slot, context, golden.status, golden.reason)
    return _measured(slot, context, golden)


def _measured(slot: ProcessSlot, context: RunContext, golden: GoldenOutputs | None) -> Attempt:
    """A worker's attempt at the case, with the conditions around it."""
    case, sampling, order = slot.case, context.run_file.header.sampling, len(context.run_file.attempts)
    owed = len(context.run_file.header.plan) * sampling.processes - context.run_file.index.settled
    batch_file = str(inputs.batch_file(case, context.folder, keep_others=not sampling.sweep))  # or fill the disk
    command = context.worker or session.worker_command(case.framework)
    execution = plan.execution(case)
    variables = session.worker_environment() | process_environment(IMPLEMENTATIONS[case.framework], execution)
    variables["TORCHINDUCTOR_CACHE_DIR"] = str(context.folder / f"inductor-{order}")  # cold

    # The first process of each network that has seeded weights says which weights the seed drew.
    known_digest = context.run_file.index.weights_digest(case)
    digest_weights = known_digest is None and plan.weights_seed(case.weights) is not None

    # Conditions are read before, during and after the worker, and energy over its timed steps, all in this process.
    observer = context.conditions.watch_worker(lambda text: context.watch.phase(case, text))
    request = MeasureCase(
        case=case, execution=msgspec.to_builtins(execution), sampling=sampling, batch_file=batch_file, order=order,
        golden=golden, share_s=context.budget.share_s(owed),
        digest_weights=digest_weights,
    )  # fmt: skip
    outcome = run_worker(
        command, variables, request, Measured, sampling.time_limit_s, sampling.memory_limit_bytes, observer
    )
    surroundings = observer.end()
    process = outcome.result.process if outcome.result else None
    if process and (energy := observer.energy):
        process = msgspec.structs.replace(process, energy=energy)
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
    """The attempt as it goes into the run file. One that was disturbed is repeated, unless it has been often enough."""
    run_file = context.run_file
    disturbed = process is not None and surroundings is not None and bool(surroundings.disturbed)
    return Attempt(
        case=slot.case,
        number=slot.number,
        order=len(run_file.attempts),
        status=status,
        reason=reason,
        log=log,
        costs=costs(slot.case, context.ceilings),
        environment=run_file.environment_hash,
        surroundings=surroundings,
        process=process,
        superseded=disturbed and may_repeat(slot.case, run_file.index),
    )


def _scratch_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="xibench-")
    except OSError as error:
        raise StoreError(
            f"no temporary folder for the batch can be made: {error.strerror}; make room, or name a folder in TMPDIR"
        ) from None
