"""Processes of `verify`: one per framework, alive for as long as there is something to ask."""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar

import msgspec
import numpy as np

from xibench.analysis.forward import Arrays, Done, Job, Task, load_arrays
from xibench.errors import XibenchError
from xibench.workers import interpreters

T = TypeVar("T")

PATIENCE_S: Final = 300.0
GRACE_S: Final = 5.0
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
    """A process per name. All are asked the same job at once; what is missing answers nothing and is remembered.

    Several threads may ask: a worker does one job at a time, and one that is done with the first goes on to the next
    while a slower one still works. missing: name -> why it takes no part.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.missing: dict[str, str] = {}
        self._folder = folder
        self._jobs = itertools.count()
        self._workers = {name: _Worker(name) for name in names}
        self._pool = ThreadPoolExecutor()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.end()
        self._pool.shutdown()
        for worker in self._workers.values():
            worker.close()

    def ask(self, names: Sequence[str], job: Job, given: Arrays | None = None) -> dict[str, Arrays]:
        """The arrays of a job from each of these that is not missing. Raises XibenchError if one fails or dies.

        given: block outputs that each next block starts from, the same for all.
        """
        asked = [name for name in names if name not in self.missing]
        folder = self._folder / str(next(self._jobs))
        folder.mkdir()
        if given:
            np.savez(folder / "given.npz", **given)  # type: ignore[arg-type]  # the stub's allow_pickle
        tasks = [
            Task(job, str(folder / f"{name}.npz"), str(folder / "given.npz") if given else None) for name in asked
        ]
        found = gather(self._pool, [partial(self._answer, *pair) for pair in zip(asked, tasks, strict=True)])
        answers = dict(zip(asked, found, strict=True))
        shutil.rmtree(folder)
        return {name: arrays for name, arrays in answers.items() if arrays is not None}

    def _answer(self, name: str, task: Task) -> Arrays | None:
        done = self._workers[name].ask(task)
        if done.missing:
            self.missing[name] = done.problem or name
            return None
        if done.problem:
            job = task.job
            raise XibenchError(f"verify: {name}, {job.model} at {job.resolution}, {job.precision}: {done.problem}")
        return load_arrays(task.file)


class _Worker:
    def __init__(self, name: str) -> None:
        self._name = name
        self._one_at_a_time = threading.Lock()
        self._answers, theirs = os.pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the worker
        command = interpreters.module_command(RUNS_IN.get(name, name), "xibench.analysis.forward")
        try:
            self._child = subprocess.Popen(
                [*command, name, str(theirs)],
                env=interpreters.environment() | ENVIRONMENT,
                stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, pass_fds=(theirs,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(theirs)

    def ask(self, task: Task) -> Done:
        """What became of the task. Raises XibenchError if the worker dies or keeps silent."""
        assert self._child.stdin is not None
        with self._one_at_a_time:
            with contextlib.suppress(BrokenPipeError):  # the answer says how it died
                self._child.stdin.write(msgspec.json.encode(task) + b"\n")
                self._child.stdin.flush()
            return self._answer()

    def _answer(self) -> Done:
        line = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self._answers, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                data = os.read(self._answers, 65536) if ready.select(PATIENCE_S) else b""
                if not data:
                    raise XibenchError(self._death())
                line += data
        return msgspec.json.decode(line, type=Done)

    def end(self) -> None:
        """Kills the process and its children; who waits for its answer hears of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def close(self) -> None:
        """Closes pipes and log."""
        if self._child.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()
        os.close(self._answers)
        self._log.close()

    def _death(self) -> str:
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):  # its pipe closes a moment before it has ended
            code = self._child.wait(GRACE_S)
        how = f"gave no answer within {PATIENCE_S:g} s" if code is None else f"ended with code {code}"
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"verify: the worker of {self._name} {how}; its last output: {last or 'none'}"
