"""A run, in the parent process: start it or resume it from its file, then measure the pending processes.

`start` and `resume` fix what holds for the whole run. `run` starts one fresh worker at a time and appends a line to the
run file after each. The parent imports no framework and keeps no batch in memory.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import msgspec

from frameworks.api import IMPLEMENTATIONS
from frameworks.process import process_environment, programs_folder
from xibench import __version__
from xibench.errors import InputError, Interrupted, StoreError, UsageError
from xibench.record import environment as environments
from xibench.record.files import ScratchFolder
from xibench.record.schema import (
    FORMAT_VERSION,
    Attempt,
    Calibration,
    Case,
    Header,
    InputImages,
    Process,
    Record,
    SamplingConfig,
    Status,
    Surroundings,
)
from xibench.record.store import RunFile, resume_command
from xibench.run import plan
from xibench.run.ceilings import calibrate as measure_ceilings
from xibench.run.ceilings import costs
from xibench.run.gate import EqualityGate, NoGoldenOutputs
from xibench.run.monitor import ConditionMonitor, WorkerMonitor
from xibench.run.schedule import CallBudget, ProcessSlot, RunBudget, not_tried, remaining_slots
from xibench.workers import inputs, session
from xibench.workers.messages import MeasureCase, Measured
from xibench.workers.session import run_worker

MAX_SHOWN: Final = 3  # changes of the environment that the warning on resuming names


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


def start(
    cases: Sequence[Case], sampling: SamplingConfig, preset: str | None, command: str,
    where: str | Path = "results/runs",
) -> RunFile:  # fmt: skip
    """Create a run file with its header.

    Args:
        cases: The run's plan, at least one case. They agree on the source of images and on the weights.
        sampling: How long each case is sampled.
        preset: Name of the preset, recorded as it is; None without one.
        command: What the user typed, recorded as it is.
        where: The folder of the run file or, ending in .jsonl, the file itself.

    Raises:
        UsageError: If the plan is empty, or none of its cases can be measured on this machine.
        InputError: If images or weights cannot be read.
        StoreError: If the file exists already or cannot be written.
    """
    if not cases:
        raise UsageError("nothing to run: the selection has no case; name at least one framework and model")
    plan.require_possible(cases, sampling.memory_limit_bytes)
    machine = environments.read(session.interpreters())
    header = Header(
        format_version=FORMAT_VERSION,
        xibench=__version__,
        run_id=uuid.uuid4().hex,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=preset,
        command=command,
        sampling=sampling,
        images=input_images_of(cases),
        weights_digest=weights_digest(cases[0].weights),
        environment=machine,
        environment_hash=environments.fingerprint(machine),
        plan=list(cases),
    )
    return RunFile.create(where, header)


def resume(path: str | Path, watch: RunObserver) -> RunFile:
    """Open a run file to resume it: `index.pending()` has the cases that still need a process.

    Args:
        path: The run file.
        watch: Is warned if the machine or the software has changed; new attempts then carry the hash of the new
            environment.

    Raises:
        InputError: If the images or the weights file have changed.
        NewerFormat, StoreError: As `RunFile.resume` raises them.
    """
    now = environments.read(session.interpreters())
    run_file = RunFile.resume(path, environments.fingerprint(now))
    try:
        changed = environments.differences(run_file.header.environment, now)
        if changed:
            shown = ", ".join(changed[:MAX_SHOWN])
            more = f" and {len(changed) - MAX_SHOWN} more" if len(changed) > MAX_SHOWN else ""
            watch.warned(
                f"the environment is not the one that the run began in: {shown}{more}; its new processes are marked"
            )
        if run_file.index.pending():
            _refuse_other_inputs(run_file.header)
    except BaseException:
        run_file.close()
        raise
    return run_file


class RunContext(msgspec.Struct, frozen=True):
    """State shared by all processes of a run."""

    run_file: RunFile
    watch: RunObserver
    conditions: ConditionMonitor
    folder: Path  # for batches, deleted when the run ends
    programs: str  # for what compilers keep, deleted too; elsewhere if TMPDIR cannot have compiled programs
    worker: Sequence[str] | None  # a command to start instead of our own worker
    gate: EqualityGate | None  # None: the outputs of a fake worker are not compared
    budget: RunBudget | None  # None: the run has no total budget
    call: CallBudget | None  # None: this call takes as long as it takes
    ceilings: Calibration | None  # of the environment in which the run is now; None: they were not measured


def run(
    todo: Sequence[Case],
    run_file: RunFile,
    watch: RunObserver,
    worker: Sequence[str] | None = None,
    calibrate: bool = True,
    conditions: ConditionMonitor | None = None,
    budget_s: float | None = None,
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
        budget_s: wall time of this call, after which processes are left pending; None: no limit.

    Returns:
        The records of these cases.

    Raises:
        Interrupted: on Ctrl-C, with the command that resumes the run.
        InputError, StoreError: a batch cannot be read or written, or the run file cannot be written.
    """
    selected, sampling = set(todo), run_file.header.sampling
    total = len(run_file.header.plan) * sampling.processes
    attempts, cores = run_file.index.attempts, run_file.header.environment.cores_usable
    budget = None if sampling.total_budget_s is None else RunBudget(sampling.total_budget_s, attempts)
    call = None if budget_s is None else CallBudget(budget_s, sampling, attempts, cores)
    try:
        scratch = ScratchFolder("xibench-")
        compiled = ScratchFolder("xibench-", programs_folder())
    except OSError as error:
        raise StoreError(
            f"no temporary folder for the batch can be made: {error.strerror}; make room, or name a folder in TMPDIR"
        ) from None
    try:
        monitor = conditions or ConditionMonitor(attempts)
        with scratch as folder, compiled as programs, closing(monitor.nvml):
            gate = None if worker else EqualityGate(Path(folder), sampling.memory_limit_bytes, todo)
            if todo and (warning := monitor.busy()):
                watch.warned(warning)
            here = run_file.environment_hash
            ceilings = next((last for last in run_file.calibrations[-1:] if last.environment == here), None)
            if todo and calibrate and ceilings is None:
                ceilings = measure_ceilings(todo, here, monitor, watch.preparing)
                run_file.append(ceilings)
            folders = Path(folder), programs
            context = RunContext(run_file, watch, monitor, *folders, worker, gate, budget, call, ceilings)
            _measure(selected, context, total)
    except KeyboardInterrupt:
        cure = f"go on with `{resume_command(run_file.path)}`"
        raise Interrupted(f"interrupted after {run_file.index.settled} of {total} processes; {cure}") from None
    return [record for record in run_file.index.records() if record.case in selected]


def _measure(selected: Collection[Case], context: RunContext, total: int) -> None:
    """Run the pending processes of these cases one after another, as long as the call's budget allows."""
    run_file, call = context.run_file, context.call
    for slot in remaining_slots(run_file.index, selected, *([call.fits] if call else [])):
        context.watch.started(slot.case, run_file.index.settled, total)
        attempt = _attempt(slot, context)
        if attempt is None:
            return
        run_file.append(attempt)
        if call:
            call.ended(attempt)
        context.watch.finished(run_file.index.record(slot.case))


def _attempt(slot: ProcessSlot, context: RunContext) -> Attempt | None:
    """Run one process, unless there is a reason to skip it, and return its attempt; None if the budget is over."""
    case, sampling, order = slot.case, context.run_file.header.sampling, len(context.run_file.index.attempts)

    # A case is skipped if a smaller batch was too large, if it cannot be measured here, or if its output could not be
    # checked. What a fake worker can do is not known.
    if known := not_tried(case, context.run_file.index):
        return _line(slot, context, *known)
    if not context.worker and (known := plan.impossible(case, sampling.memory_limit_bytes, ever=True)):
        return _line(slot, context, *known)
    golden = context.gate.golden_outputs(case, lambda text: context.watch.phase(case, text)) if context.gate else None
    if isinstance(golden, NoGoldenOutputs):
        return _line(slot, context, golden.status, golden.reason)

    if context.call and not context.call.fits(case):  # the golden outputs took what was left
        return None

    # A sweep keeps one batch file at a time, or it fills the disk.
    command = context.worker or session.worker_command(case.framework)
    execution = plan.execution(case)
    batch_file = str(inputs.batch_file(case, context.folder, keep_others=not sampling.sweep))

    # The first process of each network with seeded weights reports the digest of the weights that the seed gave.
    known_digest = context.run_file.index.weights_digest(case)
    digest_weights = known_digest is None and plan.weights_seed(case.weights) is not None

    # This process reads conditions before, during and after the worker, and energy over its timed steps.
    pending = len(context.run_file.header.plan) * sampling.processes - context.run_file.index.settled
    observer = WorkerMonitor(context.conditions, lambda text: context.watch.phase(case, text))
    left_s = context.call.left_s() if context.call else sampling.time_limit_s
    limited = msgspec.structs.replace(sampling, time_limit_s=min(sampling.time_limit_s, left_s))
    request = MeasureCase(
        case=case, execution=msgspec.to_builtins(execution), sampling=limited, batch_file=batch_file, order=order,
        golden=golden, share_s=context.budget.share_s(pending) if context.budget else None,
        digest_weights=digest_weights,
    )  # fmt: skip
    with ScratchFolder("worker-", context.programs) as programs:  # what compilers keep is this process's own
        variables = session.worker_environment(Path(programs))
        variables |= process_environment(IMPLEMENTATIONS[case.framework], execution)
        outcome = run_worker(
            command, variables, request, Measured, limited.time_limit_s, sampling.memory_limit_bytes, observer
        )
        surroundings = observer.end()  # before the folder is deleted
    if outcome.status == "timeout" and left_s < sampling.time_limit_s:
        return None
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
        superseded=disturbed and run_file.index.may_repeat(slot.case),
    )


def input_images_of(cases: Sequence[Case]) -> InputImages:
    """The input images of a plan. Raises InputError."""
    # A plan has one source of images; operators among its cases get noise whatever it is.
    source = next((case.images for case in cases if case.images != inputs.NOISE), inputs.NOISE)
    return inputs.read_images(source, max(case.batch for case in cases))


def _refuse_other_inputs(header: Header) -> None:
    images, weights = header.images, header.plan[0].weights
    if inputs.read_images(images.source, max(case.batch for case in header.plan)) != images:
        raise InputError(
            f"images {images.source}: these are not the images that the run began with; "
            "put those back, or start a new run"
        )
    if weights_digest(weights) != header.weights_digest:
        raise InputError(
            f"weights {weights}: this is not the file that the run began with; put it back, or start a new run"
        )


def weights_digest(weights: str) -> str | None:
    """The SHA-256 of the weights file's bytes; None for seeded weights. Raises InputError."""
    if plan.weights_seed(weights) is not None:
        return None
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights {weights} cannot be read: {error.strerror}; name a file that can be") from None
