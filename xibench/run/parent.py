"""The parent of a run: a fresh process per case, and a line in the run file as soon as the case has ended.

It imports no framework and keeps no batch in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from xibench.errors import Interrupted, StoreError
from xibench.record.schema import Case, Record
from xibench.record.store import RunFile, resume_command
from xibench.run import inputs, interpreters, plan
from xibench.run.messages import Request
from xibench.run.process import converse


class Watch(Protocol):
    """Who is told how a run goes on."""

    def started(self, case: Case, index: int, total: int) -> None:
        """A case begins: number `index`, from 0, of the run's `total` cases."""

    def phase(self, case: Case, text: str) -> None:
        """The case's worker now does this: import, build, compile, first step, warm-up, timing."""

    def finished(self, record: Record) -> None:
        """The case has ended and its record is on the disk."""

    def warned(self, text: str) -> None:
        """Something that the user should know, in one line; the run goes on."""


def run(todo: Sequence[Case], run_file: RunFile, watch: Watch, worker: Sequence[str] | None = None) -> list[Record]:
    """Measures the cases, in this order, and returns their records; each is in the run file before the next begins.

    A worker that dies, hangs or writes rubbish is a record like any other.
    worker: a command to start instead of our own worker.
    Raises Interrupted on Ctrl-C, with the command that resumes; InputError; StoreError. The file is valid after each.
    """
    records: list[Record] = []
    total = len(run_file.header.plan)
    try:
        with _scratch() as folder:
            for index, case in enumerate(todo, start=total - len(todo)):
                watch.started(case, index, total)
                record = _measure(case, index, run_file, watch, Path(folder), worker)
                run_file.append(record)
                records.append(record)
                watch.finished(record)
    except KeyboardInterrupt:
        done = total - len(run_file.pending())
        cure = f"go on with `{resume_command(run_file.path)}`"
        raise Interrupted(f"interrupted after {done} of {total} cases; {cure}") from None
    return records


def _measure(
    case: Case, order: int, run_file: RunFile, watch: Watch, folder: Path, worker: Sequence[str] | None
) -> Record:
    request = Request(case=case, rule=run_file.header.rule, batch_file=str(_batch_file(case, folder)), order=order)
    command = worker or interpreters.module_command(case.framework, "xibench.run.worker")
    variables = interpreters.environment() | {"TORCHINDUCTOR_CACHE_DIR": str(folder / f"inductor-{order}")}  # cold
    ending = converse(command, variables, request, lambda text: watch.phase(case, text))
    return Record(
        case=case,
        status=ending.status,
        reason=ending.reason,
        log=ending.log,
        costs=plan.costs(case),
        environment=run_file.environment_hash,
        processes=[ending.process] if ending.process else [],
    )


def _batch_file(case: Case, folder: Path) -> Path:
    """The case's batch, written once for all cases that share it: a run has one source of images and one seed."""
    path = folder / f"batch-{case.batch}x{case.resolution}.npy"
    if not path.exists():
        inputs.save_batch(path, case.images, case.batch, case.resolution, case.seed)
    return path


def _scratch() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="xibench-")
    except OSError as error:
        raise StoreError(
            f"no temporary folder for the batch can be made: {error.strerror}; make room, or name a folder in TMPDIR"
        ) from None
