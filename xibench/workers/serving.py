"""The worker's end of its session: takes requests, answers each of them, and ends when its parent has."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final, Literal, TypeVar

import msgspec

from frameworks.errors import MissingFramework, Unsupported
from xibench.measure.phase import Phase, PhaseListener
from xibench.workers.messages import Answer, EnteredPhase, Failure, Message, Progress, Request, Result

CHUNK_BYTES: Final = 64 * 1024
GRACE_S: Final = 10.0  # for the interpreter to shut down once the parent has no more requests
# torch.OutOfMemoryError, tf.errors.ResourceExhaustedError
OUT_OF_MEMORY_NAMES: Final = ("OutOfMemoryError", "ResourceExhaustedError")
OUT_OF_MEMORY_TEXTS: Final = (
    "RESOURCE_EXHAUSTED",  # XLA
    "out of memory",  # CUDA
    "can't allocate memory",  # PyTorch's CPU allocator
    "std::bad_alloc",  # C++
    "ALLOC_FAILED",  # cuBLAS, cuDNN
)

Asked = TypeVar("Asked", bound=Request)
Listener = TypeVar("Listener", bound=PhaseListener)


class Parent:
    """The parent as the worker sees it: a source of requests, to which answers, phases and progress go.

    A thread reads standard input. When that ends while a request is being worked on, the parent has been killed; the
    worker then kills itself and its children, so that nothing of a killed run stays busy on the cores.
    """

    def __init__(self, pipe: int) -> None:
        """pipe: the inherited file descriptor for answers; children of this process do not inherit it."""
        os.set_inheritable(pipe, False)
        self._pipe = pipe
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._received = 0
        self._answered = 0
        threading.Thread(target=self._read_requests, daemon=True).start()

    def next_request(self) -> Request | None:
        """Waits for a request; None when there will be no more."""
        line = self._requests.get()
        request: Request | None = None if line is None else msgspec.json.decode(line, type=Request)
        return request

    def answer(self, answer: Answer) -> None:
        """Answers the oldest request that has no answer yet."""
        self._answered += 1
        self._write(answer)

    def on_phase(self, phase: Phase) -> None:
        """Tells the parent of a phase that begins."""
        self._write(EnteredPhase(phase=phase))

    def on_progress(self, text: str) -> None:
        """Tells the parent, and whoever watches, what is being done."""
        self._write(Progress(text=text))

    def _write(self, message: Message) -> None:
        data = msgspec.json.encode(message) + b"\n"
        while data:
            data = data[os.write(self._pipe, data) :]

    def _read_requests(self) -> None:
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


def serve(pipe: int, run_job: Callable[[Request, Parent], Result]) -> None:
    """Answers requests until there are no more. pipe: as Parent takes it."""
    parent = Parent(pipe)
    while (request := parent.next_request()) is not None:
        parent.answer(answer_to(request, parent, run_job))


def answer_to(request: Asked, listener: Listener, run_job: Callable[[Asked, Listener], Result]) -> Result | Failure:
    """The job's result. What it raises is a Failure, and its traceback goes to standard error."""
    try:
        return run_job(request, listener)
    except (MissingFramework, Unsupported) as error:
        missing = isinstance(error, MissingFramework)
        return Failure(status="unsupported", reason=" ".join(str(error).split()), missing=missing)
    except Exception as error:  # whatever a framework raises is this worker's result, not the end of the run
        traceback.print_exc()
        return Failure(status=status_of(error), reason=one_line(error))


def status_of(error: BaseException) -> Literal["out_of_memory", "failed"]:
    """Whether memory ran out. Frameworks share no class for that: names and texts of all its causes are read."""
    out_of_memory = any(
        isinstance(link, MemoryError)
        or type(link).__name__ in OUT_OF_MEMORY_NAMES
        or any(text in str(link) for text in OUT_OF_MEMORY_TEXTS)
        for link in _chain(error)
    )
    return "out_of_memory" if out_of_memory else "failed"


def one_line(error: BaseException, width: int = 300) -> str:
    """`Type: message` in one line of at most `width` characters."""
    text = " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
