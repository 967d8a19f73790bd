"""One worker process from its start to its end, whatever the end is."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from xibench.measure.phase import Phase
from xibench.record.schema import Process, Status
from xibench.workers.failures import exit_reason, killed_for_memory, memory_reason
from xibench.workers.messages import (
    Answer,
    Ceilings,
    CeilingsRequest,
    EnteredPhase,
    Measured,
    Progress,
    Referenced,
    ReferenceRequest,
    Refused,
    Request,
)
from xibench.workers.resident import Resident, limit_bytes, oom_kills
from xibench.workers.spawn import CHUNK_BYTES, LOG_BYTES, kill, spawn

LINE_BYTES: Final = 16 * 1024 * 1024
POLL_S: Final = 0.1  # how often memory and power are read; how soon an end is seen where children keep the pipes open
GRACE_S: Final = 10.0  # for a worker to end by itself after its answer
DRAIN_READS: Final = 256  # what a dead worker left in its pipes is far less


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a worker. With status ok one of process, ceilings, referenced; else reason and log."""

    status: Status
    reason: str | None = None
    log: str | None = None  # last output
    process: Process | None = None
    ceilings: Ceilings | None = None
    referenced: Referenced | None = None


Asked = Request | CeilingsRequest | ReferenceRequest


class Observer(Protocol):
    """Who follows a worker."""

    def on_phase(self, phase: Phase) -> None:
        """The worker has entered this phase."""

    def on_progress(self, text: str) -> None:
        """The worker does this now, in words for people."""

    def tick(self) -> None:
        """A tenth of a second has passed, or a little more."""


class Silent:
    """An observer that nobody listens to."""

    def on_phase(self, phase: Phase) -> None:
        """Does nothing."""

    def on_progress(self, text: str) -> None:
        """Does nothing."""

    def tick(self) -> None:
        """Does nothing."""


def converse(
    command: Sequence[str],
    environment: Mapping[str, str],
    request: Asked,
    time_limit_s: float,
    memory_limit_bytes: int | None,
    observer: Observer,
) -> Ending:
    """Starts a worker, hears it out and returns how it ended; nothing of it is left running, also when this raises.

    memory_limit_bytes: as `resident.limit_bytes` takes it.
    """
    limit = limit_bytes(memory_limit_bytes)
    try:
        worker = _Worker(command, environment, observer)
    except OSError as error:
        return Ending("failed", f"the worker cannot be started: {command[0]}: {error.strerror}")
    try:
        worker.ask(request)
        return worker.listen(time_limit_s, limit)
    finally:
        worker.end()


class _Worker:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str], observer: Observer) -> None:
        self._oom_kills = oom_kills()
        self._child, self._answers = spawn(command, environment, subprocess.PIPE)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ, self._take_answers)
        self._selector.register(self._stdout, selectors.EVENT_READ, self._take_output)
        self._output = b""
        self._line = b""
        self._phase = Phase.START
        self._doing: str = Phase.START
        self._last: Measured | Ceilings | Referenced | Refused | None = None
        self._rubbish: str | None = None
        self._killed = False
        self._observer = observer
        self._resident = Resident(self._child.pid)
        self._over_memory: str | None = None
        self._ticked = time.monotonic()

    def ask(self, request: Asked) -> None:
        """The request goes out; standard input stays open as the sign that the parent lives."""
        with contextlib.suppress(BrokenPipeError):  # it is dead already; listen() says how it died
            self._stdin.write(msgspec.json.encode(request) + b"\n")
            self._stdin.flush()

    def listen(self, time_limit_s: float, memory_limit_bytes: int) -> Ending:
        """Hears the worker out, up to its limits, kills what is left of it and says how it ended."""
        deadline = time.monotonic() + time_limit_s
        answered = False
        while self._child.poll() is None and self._rubbish is None and self._over_memory is None:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._read(min(left, POLL_S))
            self._tick(memory_limit_bytes)
            if self._last and not answered:
                answered, deadline = True, time.monotonic() + GRACE_S
        code = self._child.returncode
        self._kill()
        self._drain()
        return self._ending(code, time_limit_s)

    def end(self) -> None:
        """Kills the worker and its children, and closes the pipes."""
        self._kill()
        self._selector.close()
        os.close(self._answers)
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def _ending(self, code: int | None, time_limit_s: float) -> Ending:
        log = self._output.decode(errors="replace").strip() or None
        if isinstance(self._last, Measured):
            return Ending("ok", process=self._last.process)
        if isinstance(self._last, Ceilings):
            return Ending("ok", ceilings=self._last)
        if isinstance(self._last, Referenced):
            return Ending("ok", referenced=self._last)
        if isinstance(self._last, Refused):
            return Ending(self._last.status, self._last.reason, log)
        if self._rubbish is not None:
            return Ending("failed", self._rubbish, log)
        if self._over_memory is not None:
            return Ending("out_of_memory", self._over_memory, log)
        if code is None:
            reason = f"the worker was still in {self._doing} after its limit of {time_limit_s:g} s and was killed"
            return Ending("timeout", reason, log)
        if code == -signal.SIGKILL and (oom_kills() or 0) > (self._oom_kills or 0):
            return Ending("out_of_memory", killed_for_memory(self._doing), log)
        return Ending("failed", exit_reason(code, self._doing), log)

    def _tick(self, memory_limit_bytes: int) -> None:
        """At most ten times a second: lets the observer look, and the worker's memory be read."""
        if time.monotonic() - self._ticked < POLL_S:
            return
        self._ticked = time.monotonic()
        self._observer.tick()
        held = self._resident.bytes_held(quiet=self._phase is Phase.TIMING)
        if held > memory_limit_bytes and self._last is None:
            self._over_memory = memory_reason(held, memory_limit_bytes, self._doing)

    def _kill(self) -> None:
        if self._killed:  # its number may be another process's by now
            return
        self._killed = True
        kill(self._child)

    def _drain(self) -> None:
        for _ in range(DRAIN_READS):
            if not self._read(0):
                return

    def _read(self, timeout_s: float) -> bool:
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                self._selector.unregister(key.fileobj)
            key.data(data)
        return bool(ready)

    def _take_output(self, data: bytes) -> None:
        self._output = (self._output + data)[-LOG_BYTES:]

    def _take_answers(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._take_answer(line)
        if len(self._line) > LINE_BYTES:
            self._rubbish = f"the worker wrote {len(self._line)} bytes without a line end on the pipe for its answers"

    def _take_answer(self, line: bytes) -> None:
        try:
            answer: Answer = msgspec.json.decode(line, type=Answer)
        except msgspec.MsgspecError:
            shown = line[:80].decode(errors="replace")
            self._rubbish = self._rubbish or f"the worker wrote no message on the pipe for its answers, but {shown!r}"
            return
        if isinstance(answer, EnteredPhase):
            self._phase = answer.phase
            self._doing = answer.phase
            self._observer.on_phase(answer.phase)
        elif isinstance(answer, Progress):
            self._doing = answer.text
            self._observer.on_progress(answer.text)
        elif self._last is None:
            self._last = answer
