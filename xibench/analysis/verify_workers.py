"""The workers of `verify`: one per framework, alive for as long as there is something to ask."""

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
from xibench.workers import interpreters
from xibench.workers.messages import ForwardPass, PassWritten, RunForwardPass
from xibench.workers.session import WorkerFailed, WorkerOutcome, WorkerSession, last_line

T = TypeVar("T")

TIME_LIMIT_S: Final = 1800.0  # for one forward pass: beside busy programs a compilation takes more than 5 minutes
ENVIRONMENT: Final = {
    "KERAS_BACKEND": "tensorflow",
    "OMP_WAIT_POLICY": "PASSIVE",  # the workers share the cores: none may spin on them while it waits
}
RUNS_IN: Final = {"keras": "tensorflow"}  # which framework's interpreter has it


def gather(pool: ThreadPoolExecutor, calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. The first error is raised at once, and what waits is not begun."""
    futures = [pool.submit(call) for call in calls]
    try:
        for done in as_completed(futures):
            done.result()
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


class Workers:
    """A worker per name. All are asked for the same pass at once; a framework that is missing is asked no more.

    Several threads may ask: a worker does one pass at a time, and one that is done with the first goes on to the next
    while a slower one still works. missing: name -> why it takes no part.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        """folder: for the arrays of the passes; each is deleted once it has been read."""
        self.missing: dict[str, str] = {}
        self._names = names
        self._folder = folder
        self._passes = itertools.count()
        self._sessions: dict[str, WorkerSession] = {}
        self._one_at_a_time = {name: threading.Lock() for name in names}
        self._pool = ThreadPoolExecutor()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Starts the workers. Raises XibenchError if one cannot be started."""
        variables = interpreters.environment() | ENVIRONMENT
        with ExitStack() as stack:
            for name in self._names:
                command = interpreters.worker_command(RUNS_IN.get(name, name))
                try:
                    self._sessions[name] = stack.enter_context(WorkerSession(command, variables))
                except WorkerFailed as failed:
                    raise _error(name, failed.outcome) from failed
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions.values():  # threads that wait for an answer hear that there will be none
            session.kill()
        self._pool.shutdown()
        self._stack.close()

    def ask(self, names: Sequence[str], job: ForwardPass, given: Arrays | None = None) -> dict[str, Arrays]:
        """The arrays of a pass from each of these that is not missing.

        Args:
            names: which workers are asked.
            job: what all of them compute.
            given: block outputs that each next block starts from, the same for all.

        Raises:
            XibenchError: a worker failed, died or gave no answer in time.
        """
        asked = [name for name in names if name not in self.missing]
        folder = self._folder / str(next(self._passes))
        folder.mkdir()
        given_file = None
        if given:
            given_file = str(folder / "given.npz")
            np.savez(given_file, **given)  # type: ignore[arg-type]  # the stub's allow_pickle
        requests = [
            RunForwardPass(implementation=name, forward_pass=job, file=str(folder / f"{name}.npz"), given=given_file)
            for name in asked
        ]
        found = gather(self._pool, [partial(self._arrays, request) for request in requests])
        shutil.rmtree(folder)
        return {name: arrays for name, arrays in zip(asked, found, strict=True) if arrays is not None}

    def _arrays(self, request: RunForwardPass) -> Arrays | None:
        """The arrays of one worker; None if its framework is missing."""
        name = request.implementation
        try:
            with self._one_at_a_time[name]:
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
    said = f"; its last output: {last_line(outcome.log)}" if outcome.log else ""
    return XibenchError(f"{about}: {outcome.reason}{said}")
