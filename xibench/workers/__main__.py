"""The entry point of every worker process: `python -m xibench.workers PIPE`.

A worker is the only process that imports a framework. It answers the parent's requests one after another and exits with
its parent. Each job is a function `(request, parent) -> result`, imported when it is first requested, so that a worker
loads only what its job needs.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, Final

from frameworks.errors import MissingFramework, Unsupported
from xibench import plugins
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.text import decode_exactly, encode_exactly
from xibench.workers import messages
from xibench.workers.failures import failure
from xibench.workers.messages import EnteredPhase, Failure, Message, Progress, Request, Result

JOBS: Final[Mapping[type, str]] = {
    messages.MeasureCase: "xibench.workers.case:run_case",
    messages.MeasureCeilings: "xibench.workers.ceilings:measure_ceilings",
    messages.ComputeGoldenOutputs: "xibench.workers.case:compute_golden_outputs",
    messages.StartPairSide: "xibench.workers.pair_side:run_side",
    messages.ProbeFramework: "xibench.workers.probe:describe_framework",
    messages.CountFlops: "xibench.workers.probe:count_flops",
    messages.WriteBatch: "xibench.workers.inputs:write_requested_batch",
    messages.RunForwardPass: "xibench.analysis.forward:run_job",
}
"""Request -> module and function of its job. Requests that are not listed are handled by the job of a pair's side."""
CHUNK_BYTES: Final = 64 * 1024
GRACE_S: Final = 10.0  # for the interpreter to shut down once the parent sends no more requests

Job = Callable[[Any, Any], Result]


class Parent:
    """The parent as seen by the worker: a source of requests that receives answers, phases and progress.

    A thread reads standard input. If it ends while a request is in progress, the parent has been killed. The worker
    then kills itself and its children, so that no process of a killed run keeps the cores busy.

    Args:
        pipe: The inherited file descriptor for answers. Children of this process do not inherit it.
    """

    def __init__(self, pipe: int) -> None:
        os.set_inheritable(pipe, False)
        self._pipe = pipe
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._received = 0
        self._answered = 0
        threading.Thread(target=self._read_requests, daemon=True).start()

    def next_request(self) -> Request | None:
        """Wait for a request; None if the parent sends no more."""
        line = self._requests.get()
        request: Request | None = None if line is None else decode_exactly(line, Request)
        return request

    def send(self, message: Message) -> None:
        """Send a message. An answer belongs to the oldest request that has none yet."""
        self._answered += not isinstance(message, EnteredPhase | Progress)
        data = memoryview(encode_exactly(message) + b"\n")
        while data:
            data = data[os.write(self._pipe, data) :]

    def on_phase(self, phase: Phase) -> None:
        """Report that a phase begins."""
        self.send(EnteredPhase(phase=phase))

    def on_progress(self, text: str) -> None:
        """Report progress in words for users."""
        self.send(Progress(text=text))

    def _read_requests(self) -> None:
        """Queue the lines of standard input. When it ends, wait for a regular exit or kill the process group."""
        line = b""
        while data := os.read(sys.stdin.fileno(), CHUNK_BYTES):
            *lines, line = (line + data).split(b"\n")
            for complete in lines:
                self._received += 1
                self._requests.put(complete)
        if self._received == self._answered:
            self._requests.put(None)
            time.sleep(GRACE_S)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def serve(pipe: int, job: Job | None = None) -> None:
    """Answer requests until the parent sends no more.

    Args:
        pipe: As Parent takes it.
        job: Handles every request; None: the job that `JOBS` lists for it.
    """
    parent = Parent(pipe)
    while (request := parent.next_request()) is not None:
        parent.send(answer_to(request, parent, job))


def answer_to(request: Request, listener: PhaseListener, job: Job | None = None) -> Result | Failure:
    """Run the job that a request asks for, with the user's plugins, and return its result.

    An exception becomes a Failure, and its traceback goes to standard error unless the request is unsupported.
    """
    try:
        if job is None:
            plugins.load()
            module, _, function = JOBS[type(request)].partition(":")
            job = getattr(importlib.import_module(module), function)
        return job(request, listener)
    except (MissingFramework, Unsupported) as error:
        return failure(error)
    except Exception as error:  # an exception of a framework is this worker's result, not the end of the run
        traceback.print_exc()
        return failure(error)


if __name__ == "__main__":
    serve(int(sys.argv[1]))

    # Leave without taking the interpreter apart, which takes a second or two where a framework is loaded. What was
    # registered for the exit runs first: compilers stop their processes there.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(0)
