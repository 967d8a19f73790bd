"""The parent's end of a worker process, from its start to its end, however it ends. Nothing else starts workers.

A worker can run out of memory, hang, die, write rubbish on its pipe or print without end. Each of these ends in a
WorkerOutcome: a status, a reason in one line and the worker's last output.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import msgspec

from xibench.measure.memory import ResidentSet, oom_kills, worker_limit_bytes
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.schema import Status
from xibench.workers.messages import Answer, EnteredPhase, Failure, Message, Progress, Request, Result

POLL_S: Final = 0.1  # how often memory and power are read; how soon an end is seen where children keep the pipes open
GRACE_S: Final = 10.0  # for an idle worker to end by itself
LOG_BYTES: Final = 16 * 1024  # of a worker's last output, kept as text
LINE_BYTES: Final = 16 * 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
DRAIN_READS: Final = 256  # what a dead worker left in its pipes is far less

Answered = TypeVar("Answered", bound=Result)


class Observer(PhaseListener, Protocol):
    """Who follows a worker."""

    def on_tick(self) -> None:
        """Called about every tenth of a second while the worker is waited for."""


class Unobserved:
    """An observer that does nothing."""

    def on_phase(self, phase: Phase) -> None:
        """Does nothing."""

    def on_progress(self, text: str) -> None:
        """Does nothing."""

    def on_tick(self) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class WorkerOutcome(Generic[Answered]):
    """What became of a worker: with status ok its result, otherwise the reason and, where there was any, a log."""

    status: Status
    reason: str | None = None  # one line
    log: str | None = None  # the last output
    result: Answered | None = None
    missing: bool = False  # the framework is not installed


class WorkerFailed(Exception):
    """A worker gave no result; `outcome` says what became of it."""

    def __init__(self, outcome: WorkerOutcome[Any]) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def run_worker(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: Request,
    kind: type[Answered],
    time_limit_s: float,
    memory_limit_bytes: int | None = None,
    observer: Observer | None = None,
) -> WorkerOutcome[Answered]:
    """Starts a worker for one request, waits for its result and lets it end.

    Args:
        command: the program and its arguments.
        environment: all of its environment variables.
        request: what the worker is to do.
        kind: the message that answers such a request.
        time_limit_s: from the start to the result.
        memory_limit_bytes: as WorkerSession takes it.
        observer: as WorkerSession takes it.

    Returns:
        How the worker ended. Nothing of it is left running, also when this raises (KeyboardInterrupt).
    """
    try:
        with WorkerSession(command, environment, memory_limit_bytes, observer) as session:
            session.send(request)
            result = session.receive(kind, time_limit_s)
            session.finish()
            return WorkerOutcome("ok", result=result)
    except WorkerFailed as error:
        return error.outcome


class WorkerSession:
    """One worker process. A context manager: when it exits, the worker and all of its children have been killed.

    The process has a session of its own, so that Ctrl-C reaches the parent alone and the worker can be killed with its
    children; a pipe of its own for answers, whose number is its last argument; and standard input, which stays open as
    long as the parent lives.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        memory_limit_bytes: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Starts the worker.

        Args:
            command: the program and its arguments.
            environment: all of its environment variables.
            memory_limit_bytes: of the worker and its children together; None as `memory.worker_limit_bytes` has it.
            observer: hears of phases and progress, and is called regularly while the worker is waited for.

        Raises:
            WorkerFailed: the program cannot be started.
        """
        self._memory_limit_bytes = worker_limit_bytes(memory_limit_bytes)
        self._oom_kills = oom_kills()
        self._observer = observer or Unobserved()
        self._answers, theirs = os.pipe()
        try:
            self._child = subprocess.Popen(
                [*command, str(theirs)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, pass_fds=(theirs,), start_new_session=True,
            )  # fmt: skip
        except BaseException as error:
            os.close(self._answers)
            if not isinstance(error, OSError):
                raise
            reason = f"the worker cannot be started: {command[0]}: {error.strerror}"
            raise WorkerFailed(WorkerOutcome("failed", reason)) from None
        finally:
            os.close(theirs)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ, self._take_messages)
        self._selector.register(self._stdout, selectors.EVENT_READ, self._take_output)
        self._output = b""
        self._line = b""  # the beginning of a message
        self._inbox: deque[Answer] = deque()
        self._phase = Phase.START
        self._doing: str = Phase.START  # the phase, or what the worker last said that it does
        self._verdict: tuple[Status, str] | None = None  # why the worker is to be killed
        self._resident = ResidentSet(self._child.pid)
        self._ticked_s = time.monotonic()
        self._killing = threading.Lock()
        self._killed = False

    def send(self, request: Request) -> None:
        """Sends a request; `receive` waits for its answer."""
        with contextlib.suppress(BrokenPipeError):  # it is dead already; receive() says how it died
            self._stdin.write(msgspec.json.encode(request) + b"\n")
            self._stdin.flush()

    def receive(self, kind: type[Answered], time_limit_s: float) -> Answered:
        """Waits for the answer to the oldest request that has none.

        Args:
            kind: the message that answers such a request.
            time_limit_s: from now on.

        Raises:
            WorkerFailed: the worker answered with a failure or with another message, or gave no answer. In the last
                case it has been killed.
        """
        deadline = time.monotonic() + time_limit_s
        while not self._inbox and self._verdict is None and self._child.poll() is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                reason = f"the worker was still in {self._doing} after its limit of {time_limit_s:g} s and was killed"
                self._verdict = ("timeout", reason)
                break
            self._read(min(left_s, POLL_S))
            self._tick()
        if not self._inbox:
            code = self._child.returncode
            self.kill()
            self._drain()  # an answer may have been on its way
            if not self._inbox:
                status, reason = self._verdict or self._death(code)
                raise WorkerFailed(WorkerOutcome(status, reason, self._log()))
        answer = self._inbox.popleft()
        if isinstance(answer, Failure):
            raise WorkerFailed(WorkerOutcome(answer.status, answer.reason, self._log(), missing=answer.missing))
        if not isinstance(answer, kind):
            reason = f"the worker answered {type(answer).__name__} during {self._doing}, expected {kind.__name__}"
            raise WorkerFailed(WorkerOutcome("failed", reason, self._log()))
        return answer

    def finish(self) -> None:
        """Lets a worker that has answered everything end by itself, which its standard input's end tells it to do.

        Whether and how it does makes no difference to what it has answered: some frameworks crash as the interpreter
        shuts down, and some hang.
        """
        self._close_stdin()
        deadline = time.monotonic() + GRACE_S
        while self._child.poll() is None and time.monotonic() < deadline:
            self._read(POLL_S)
            self._tick()

    def kill(self) -> None:
        """Kills the worker and its children. May be called while another thread waits in `receive`, which then ends."""
        with self._killing:
            if self._killed:  # its number may be another process's by now
                return
            self._killed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for zombies
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def close(self) -> None:
        """Kills what is left of the worker and closes the pipes. No thread may be in `receive`."""
        self.kill()
        self._selector.close()
        os.close(self._answers)
        self._stdout.close()
        self._close_stdin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_stdin(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def _log(self) -> str | None:
        return self._output.decode(errors="replace").strip() or None

    def _death(self, code: int) -> tuple[Status, str]:
        """Status and reason of a worker that ended by itself; `code` as subprocess has it, negative for a signal."""
        if code >= 0:
            return "failed", f"the worker exited with code {code} during {self._doing}, without a result"
        if code == -signal.SIGKILL and (oom_kills() or 0) > (self._oom_kills or 0):
            counted = "the kernel counts one process more that ran out of memory"
            return "out_of_memory", f"the worker was killed by SIGKILL during {self._doing}; {counted}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; perhaps by the kernel's out-of-memory killer: try a smaller batch" if -code == signal.SIGKILL else ""
        return "failed", f"the worker was killed by {name} during {self._doing}{hint}"

    def _tick(self) -> None:
        """At most ten times a second: calls the observer and compares the worker's memory with its limit."""
        if time.monotonic() - self._ticked_s < POLL_S:
            return
        self._ticked_s = time.monotonic()
        self._observer.on_tick()
        held = self._resident.total_bytes(quiet=self._phase is Phase.TIMING)
        if held > self._memory_limit_bytes and not self._inbox:
            self._verdict = ("out_of_memory", memory_reason(held, self._memory_limit_bytes, self._doing))

    def _drain(self) -> None:
        for _ in range(DRAIN_READS):
            if not self._read(0):
                return

    def _read(self, timeout_s: float) -> bool:
        """Reads what there is, within the timeout; False if there was nothing."""
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                self._selector.unregister(key.fileobj)
            key.data(data)
        return bool(ready)

    def _take_output(self, data: bytes) -> None:
        self._output = (self._output + data)[-LOG_BYTES:]

    def _take_messages(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            try:
                self._take(msgspec.json.decode(line, type=Message))
            except msgspec.MsgspecError:
                shown = line[:80].decode(errors="replace")
                rubbish = f"the worker wrote no message on the pipe for its answers, but {shown!r}"
                self._verdict = self._verdict or ("failed", rubbish)
        if len(self._line) > LINE_BYTES:
            endless = f"the worker wrote {len(self._line)} bytes without a line end on the pipe for its answers"
            self._verdict = self._verdict or ("failed", endless)

    def _take(self, message: Message) -> None:
        if isinstance(message, EnteredPhase):
            self._phase = message.phase
            self._doing = message.phase
            self._observer.on_phase(message.phase)
        elif isinstance(message, Progress):
            self._doing = message.text
            self._observer.on_progress(message.text)
        else:
            self._inbox.append(message)


def memory_reason(held_bytes: int, limit_bytes: int, doing: str) -> str:
    """Why a worker was killed that held too much memory.

    What it held is rounded up and its limit down, so that the one reads as more than the other, also where it is so by
    less than a tenth of a mebibyte.
    """
    held = f"{math.ceil(held_bytes * 10 / 2**20) / 10:.1f} MiB"
    limit = f"{math.floor(limit_bytes * 10 / 2**20) / 10:.1f} MiB"
    return f"the worker held {held} of memory during {doing}, more than its limit of {limit}, and was killed"


def last_line(log: str | None) -> str:
    """The last line that a worker printed, for a message of one line."""
    return (log or "nothing was printed").rstrip().rpartition("\n")[2]
