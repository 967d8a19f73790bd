"""The workers of `verify`: one process per implementation, which runs forward passes until the verification ends."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import numpy as np

from xibench.analysis.forward import Arrays, load_arrays
from xibench.errors import XibenchError
from xibench.workers import session
from xibench.workers.messages import ForwardPass, PassWritten, RunForwardPass
from xibench.workers.session import WorkerFailed, WorkerOutcome, WorkerSession, last_line

T = TypeVar("T")

TIME_LIMIT_S: Final = 1800.0  # per forward pass; on a busy machine a compilation takes more than 5 minutes
ENVIRONMENT: Final = {
    "KERAS_BACKEND": "tensorflow",
    "OMP_WAIT_POLICY": "PASSIVE",  # workers share the cores, so that waiting threads must not spin
}
RUNS_IN: Final = {"keras": "tensorflow"}  # implementation -> framework whose interpreter it is installed in


def gather(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run calls concurrently and return their results in order.

    The first error is raised immediately, and calls that have not started are cancelled.
    """
    futures = [pool.submit(call) for call in calls]
    try:
        for done in as_completed(futures):
            done.result()
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


class Workers:
    """One worker process per implementation; use it as a context manager.

    Several threads may call `ask`. A worker runs one pass at a time, and a fast worker continues with the next request
    while a slow one is still busy with the previous one.

    Attributes:
        missing: Implementations that are not installed, with the reason. They are skipped from then on.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        """Prepare the workers.

        Args:
            names: Names of frameworks, or `keras` for keras.applications.
            folder: Folder for the arrays of the passes, which are deleted after they have been read.
        """
        self.missing: dict[str, str] = {}
        self._names = names
        self._folder = folder
        self._passes = itertools.count()
        self._sessions: dict[str, WorkerSession] = {}
        self._locks = {name: threading.Lock() for name in names}
        self._pool = ThreadPoolExecutor()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the workers. Raises XibenchError if one cannot be started."""
        variables = session.worker_environment() | ENVIRONMENT
        with ExitStack() as stack:
            for name in self._names:
                command = session.worker_command(RUNS_IN.get(name, name))
                try:
                    self._sessions[name] = stack.enter_context(WorkerSession(command, variables))
                except WorkerFailed as failed:
                    raise _error(name, failed.outcome) from failed
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._sessions.values():  # ends the threads that wait for an answer
            worker.kill()
        self._pool.shutdown()
        self._stack.close()

    def ask(self, names: Sequence[str], job: ForwardPass, block_inputs: Arrays | None = None) -> dict[str, Arrays]:
        """Run a forward pass in several implementations at the same time.

        Args:
            names: Names of the implementations; those in `missing` are skipped.
            job: The forward pass.
            block_inputs: Block outputs, by block name, from which each next block starts in all implementations; None
                for each implementation's own.

        Returns:
            The arrays of each implementation that is installed.

        Raises:
            XibenchError: A worker failed, died or exceeded the time limit.
        """
        names = [name for name in names if name not in self.missing]
        folder = self._folder / str(next(self._passes))
        folder.mkdir()
        inputs_file = None
        if block_inputs:
            inputs_file = str(folder / "block_inputs.npz")
            np.savez(inputs_file, **block_inputs)  # type: ignore[arg-type]  # the stub's allow_pickle
        requests = [
            RunForwardPass(
                implementation=name, forward_pass=job, file=str(folder / f"{name}.npz"), block_inputs=inputs_file
            )
            for name in names
        ]
        found = gather(self._pool, [partial(self._arrays, request) for request in requests])
        shutil.rmtree(folder)
        return {name: arrays for name, arrays in zip(names, found, strict=True) if arrays is not None}

    def _arrays(self, request: RunForwardPass) -> Arrays | None:
        """Return the arrays of one implementation; None if it is not installed."""
        name = request.implementation
        try:
            with self._locks[name]:
                self._sessions[name].send(request)
                self._sessions[name].receive(PassWritten, TIME_LIMIT_S)
        except WorkerFailed as failed:
            if not failed.outcome.missing:
                raise _error(name, failed.outcome, request.forward_pass) from failed
            self.missing[name] = failed.outcome.reason or name
            return None
        return load_arrays(request.file)


def _error(name: str, outcome: WorkerOutcome[PassWritten], job: ForwardPass | None = None) -> XibenchError:
    about = f"verify: {name}, {job.model} at {job.resolution}, {job.precision}" if job else f"verify: {name}"
    output = f"; its last output: {last_line(outcome.log)}" if outcome.log else ""
    return XibenchError(f"{about}: {outcome.reason}{output}")
