"""How a run begins, anew or from a file: what holds for the whole of it is fixed here, before the first case."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from xibench import __version__
from xibench.errors import InputError, UsageError
from xibench.record import environment
from xibench.record.schema import FORMAT_VERSION, Case, Header, InputImages, SamplingConfig
from xibench.record.store import RunFile
from xibench.run.execute import Watch
from xibench.run.plan import weights_seed
from xibench.workers import inputs, interpreters
from xibench.workers.inputs import NOISE

SHOWN: Final = 3


def start(
    plan: Sequence[Case], sampling: SamplingConfig, preset: str | None, command: str, where: str | Path = "results/runs"
) -> RunFile:
    """A new run file with its header; `where` is its folder or, ending in .jsonl, the file itself.

    A run has one source of images and one of weights: the plan's cases agree on them.
    preset and command are recorded as they are. Raises UsageError without a case, InputError, StoreError.
    """
    if not plan:
        raise UsageError("nothing to run: the selection has no case; name at least one framework and model")
    machine = environment.read(interpreters.described())
    header = Header(
        format_version=FORMAT_VERSION,
        xibench=__version__,
        run_id=uuid.uuid4().hex,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=preset,
        command=command,
        sampling=sampling,
        images=pictures_of(plan),
        weights_digest=weights_digest(plan[0].weights),
        environment=machine,
        environment_hash=environment.fingerprint(machine),
        plan=list(plan),
    )
    return RunFile.create(where, header)


def resume(path: str | Path, watch: Watch) -> RunFile:
    """A run file to go on with: what its plan still lacks is `pending()`.

    Warns through `watch` if the machine or software has changed; records to come then carry another environment's hash.
    Raises InputError if the photographs or the weights file have changed, NewerFormat, StoreError.
    """
    now = environment.read(interpreters.described())
    run_file = RunFile.resume(path, environment.fingerprint(now))
    try:
        changed = environment.differences(run_file.header.environment, now)
        if changed:
            watch.warned(_warning(changed))
        if run_file.pending():
            _refuse_other_inputs(run_file.header)
    except BaseException:
        run_file.close()
        raise
    return run_file


def pictures_of(plan: Sequence[Case]) -> InputImages:
    """The photographs of a plan. Raises InputError."""
    return inputs.pictures(_source(plan), _largest_batch(plan))


def _source(plan: Sequence[Case]) -> str:
    """The one source of photographs; operators among the cases have noise whatever it is."""
    return next((case.images for case in plan if case.images != NOISE), NOISE)


def _refuse_other_inputs(header: Header) -> None:
    began_with, weights = header.images, header.plan[0].weights
    if inputs.pictures(began_with.source, _largest_batch(header.plan)) != began_with:
        raise InputError(
            f"images {began_with.source}: these are not the photographs that the run began with; "
            "put those back, or begin a new run"
        )
    if weights_digest(weights) != header.weights_digest:
        raise InputError(
            f"weights {weights}: this is not the file that the run began with; put it back, or begin a new run"
        )


def _largest_batch(plan: Sequence[Case]) -> int:
    return max(case.batch for case in plan)


def weights_digest(weights: str) -> str | None:
    """The SHA-256 of the weights file's bytes; None for seeded weights. Raises InputError."""
    if weights_seed(weights) is not None:
        return None
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights {weights} cannot be read: {error.strerror}; name a file that can be") from None


def _warning(changed: list[str]) -> str:
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    shown = ", ".join(changed[:SHOWN])
    return f"not the environment that the run began in: {shown}{more}; its new processes are marked"
