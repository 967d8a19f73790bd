"""Start a run, or resume one from its file. What holds for the whole run is fixed here, before the first case."""

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
from xibench.run.execute import RunObserver
from xibench.run.plan import weights_seed
from xibench.workers import inputs, session
from xibench.workers.inputs import NOISE

MAX_SHOWN: Final = 3  # changes of the environment that the warning on resuming names


def start(
    plan: Sequence[Case], sampling: SamplingConfig, preset: str | None, command: str, where: str | Path = "results/runs"
) -> RunFile:
    """Create a run file with its header.

    Args:
        plan: The run's cases, at least one. They agree on the source of images and on the weights.
        sampling: How long each case is sampled.
        preset: Name of the preset, recorded as it is; None without one.
        command: What the user typed, recorded as it is.
        where: The folder of the run file or, ending in .jsonl, the file itself.

    Raises:
        UsageError: If the plan is empty.
        InputError: If images or weights cannot be read.
        StoreError: If the file exists already or cannot be written.
    """
    if not plan:
        raise UsageError("nothing to run: the selection has no case; name at least one framework and model")
    machine = environment.read(session.interpreters())
    header = Header(
        format_version=FORMAT_VERSION,
        xibench=__version__,
        run_id=uuid.uuid4().hex,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        preset=preset,
        command=command,
        sampling=sampling,
        images=input_images_of(plan),
        weights_digest=weights_digest(plan[0].weights),
        environment=machine,
        environment_hash=environment.fingerprint(machine),
        plan=list(plan),
    )
    return RunFile.create(where, header)


def resume(path: str | Path, watch: RunObserver) -> RunFile:
    """Open a run file to resume it: the cases that still owe a process are `pending()`.

    Args:
        path: The run file.
        watch: Is warned if the machine or the software has changed; new attempts then carry the hash of the new
            environment.

    Raises:
        InputError: If the images or the weights file have changed.
        NewerFormat, StoreError: As `RunFile.resume` raises them.
    """
    now = environment.read(session.interpreters())
    run_file = RunFile.resume(path, environment.fingerprint(now))
    try:
        changed = environment.differences(run_file.header.environment, now)
        if changed:
            shown = ", ".join(changed[:MAX_SHOWN])
            more = f" and {len(changed) - MAX_SHOWN} more" if len(changed) > MAX_SHOWN else ""
            watch.warned(
                f"the environment is not the one that the run began in: {shown}{more}; its new processes are marked"
            )
        if run_file.pending():
            _refuse_other_inputs(run_file.header)
    except BaseException:
        run_file.close()
        raise
    return run_file


def input_images_of(plan: Sequence[Case]) -> InputImages:
    """The input images of a plan. Raises InputError."""
    # A plan has one source of images; operators among its cases get noise whatever it is.
    source = next((case.images for case in plan if case.images != NOISE), NOISE)
    return inputs.read_images(source, max(case.batch for case in plan))


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
    if weights_seed(weights) is not None:
        return None
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"weights {weights} cannot be read: {error.strerror}; name a file that can be") from None
