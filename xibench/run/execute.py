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

from xibench.errors import Interrupted, StoreError
from xibench.record.schema import Attempt, Calibration, Case, Process, Record, Rule, Status
from xibench.record.store import RunFile, resume_command
from xibench.run.budget import RunBudget
from xibench.run.calibrate import calibrate as measure_ceilings
from xibench.run.case_costs import costs
from xibench.run.gate import Closed, Gates
from xibench.run.monitor import Lookout, Vigil
from xibench.run.schedule import ProcessSlot, Schedule, may_repeat, not_tried
from xibench.workers import inputs, interpreters
from xibench.workers.messages import Reference, Request
from xibench.workers.session import converse


class Watch(Protocol):
    """Who is told how a run goes on."""

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


def run(
    todo: Sequence[Case],
    run_file: RunFile,
    watch: Watch,
    worker: Sequence[str] | None = None,
    calibrate: bool = True,
    lookout: Lookout | None = None,
) -> list[Record]:
    """Takes the processes that these cases of the plan still owe, in the order of `rounds`, and returns their records.

    Each process is in the run file before the next one begins. A worker that dies, hangs, writes rubbish or takes too
    much memory is an attempt like any other. Ceilings come first, unless the file has those of this environment.
    worker: a command to start instead of our own worker. lookout: in place of the one that reads this machine.
    Raises Interrupted on Ctrl-C, with the command that resumes; InputError; StoreError. The file is valid after each.
    """
    wanted = set(todo)
    budget = RunBudget(run_file.header.rule, run_file.attempts)
    try:
        with lookout or Lookout(run_file.attempts) as seeing, _scratch() as folder:
            if todo and calibrate and not _is_calibrated(run_file):
                run_file.append(measure_ceilings(todo, run_file.environment_hash, seeing, watch.preparing))
            gates = None if worker else Gates(Path(folder), run_file.header.rule.memory_limit_bytes)
            desk = _Desk(run_file, watch, seeing, Path(folder), worker, gates, budget)
            schedule = Schedule(run_file.index, wanted)
            while slot := schedule.next_slot():
                _take(slot, desk)
    except KeyboardInterrupt:
        header = run_file.header
        done = run_file.index.settled
        total = len(header.plan) * header.rule.processes
        cure = f"go on with `{resume_command(run_file.path)}`"
        raise Interrupted(f"interrupted after {done} of {total} processes; {cure}") from None
    return [record for record in run_file.records() if record.case in wanted]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every process of a run needs."""

    run_file: RunFile
    watch: Watch
    lookout: Lookout
    folder: Path
    worker: Sequence[str] | None
    gates: Gates | None  # None: a stand-in's logits are held against nothing
    budget: RunBudget

    @property
    def rule(self) -> Rule:
        return self.run_file.header.rule

    @property
    def ceilings(self) -> Calibration | None:
        """Those of the environment that the run is in now."""
        found = self.run_file.calibrations[-1:]
        return found[0] if found and found[0].environment == self.run_file.environment_hash else None


def _is_calibrated(run_file: RunFile) -> bool:
    return any(line.environment == run_file.environment_hash for line in run_file.calibrations[-1:])


def _take(slot: ProcessSlot, desk: _Desk) -> None:
    """One process from its start to its line in the file."""
    run_file, case = desk.run_file, slot.case
    settled, total = run_file.index.settled, len(run_file.header.plan) * desk.rule.processes
    desk.watch.started(case, settled, total)
    desk.budget.begin(total - settled)
    skipped = not_tried(case, run_file.index)
    gate = None if skipped or desk.gates is None else _gate(desk.gates, case, desk.watch)
    if skipped:
        run_file.append(_untimed(slot, "out_of_memory", skipped, desk))
    elif isinstance(gate, Closed):
        run_file.append(_untimed(slot, gate.status, gate.reason, desk))
    else:
        run_file.append(_attempt(slot, desk, gate))
    desk.watch.finished(run_file.index.record(case))


def _gate(gates: Gates, case: Case, watch: Watch) -> Reference | Closed | None:
    if not gates.knows(case):
        watch.phase(case, "float64 reference")
    return gates.of(case)


def _attempt(slot: ProcessSlot, desk: _Desk, reference: Reference | None) -> Attempt:
    case, rule, order = slot.case, desk.rule, len(desk.run_file.attempts)
    batch_file = str(_batch_file(case, rule.sweep, desk.folder))
    command = desk.worker or interpreters.module_command(case.framework, "xibench.workers.case")
    variables = interpreters.environment() | {"TORCHINDUCTOR_CACHE_DIR": str(desk.folder / f"inductor-{order}")}  # cold
    vigil = desk.lookout.before(lambda text: desk.watch.phase(case, text))
    request = Request(
        case=case, rule=rule, batch_file=batch_file, order=order, reference=reference, share_s=desk.budget.left_s()
    )
    ending = converse(command, variables, request, rule.time_limit_s, rule.memory_limit_bytes, vigil)
    surroundings = vigil.end()
    process = _metered(ending.process, vigil) if ending.process else None
    disturbed = process is not None and bool(surroundings.disturbed)
    return Attempt(
        case=case,
        number=slot.number,
        order=order,
        status=ending.status,
        reason=ending.reason,
        log=ending.log,
        costs=costs(case, desk.ceilings),
        environment=desk.run_file.environment_hash,
        surroundings=surroundings,
        process=process,
        set_aside=disturbed and may_repeat(case, desk.run_file.index),
    )


def _metered(process: Process, vigil: Vigil) -> Process:
    """The process with the energy that was measured around its timed steps."""
    energy = vigil.energy(process.energy.images)
    return msgspec.structs.replace(process, energy=energy) if energy else process


def _untimed(slot: ProcessSlot, status: Status, reason: str, desk: _Desk) -> Attempt:
    return Attempt(
        case=slot.case,
        number=slot.number,
        order=len(desk.run_file.attempts),
        status=status,
        reason=reason,
        costs=costs(slot.case, desk.ceilings),
        environment=desk.run_file.environment_hash,
        surroundings=None,
    )


def _batch_file(case: Case, sweep: bool, folder: Path) -> Path:
    """The case's batch, written once for all cases that share it (a run has one source of images and one seed)."""
    path = inputs.batch_path(case, folder)
    if sweep and not path.exists():  # together its batches would fill the disk
        for other in folder.glob("batch-*.npy"):
            other.unlink()
    return inputs.batch_file(case, folder)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="xibench-")
    except OSError as error:
        raise StoreError(
            f"no temporary folder for the batch can be made: {error.strerror}; make room, or name a folder in TMPDIR"
        ) from None
