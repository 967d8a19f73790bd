"""The parent's end of one worker of a pair: orders go out, answers come back, whatever becomes of the worker."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from xibench.record.schema import Status
from xibench.workers.failures import exit_reason
from xibench.workers.pair_messages import Order, PairAnswer, PairRequest, Trouble
from xibench.workers.spawn import CHUNK_BYTES, LOG_BYTES, kill, spawn

Answer = TypeVar("Answer")


class PairFailed(Exception):
    """A worker of a pair gave no answer; the message says why."""

    def __init__(self, status: Status, reason: str, log: str | None) -> None:
        super().__init__(reason)
        self.status = status
        self.log = log


class PairProcess:
    """One worker. Use as a context manager: nothing of it is left running afterwards."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], request: PairRequest) -> None:
        """Starts the worker. Raises PairFailed if it cannot be started."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._buffer = b""
        self._doing = "start"
        try:
            self._child, self._answers = spawn(command, environment, self._output)
        except OSError as error:
            self._output.close()
            reason = f"the worker cannot be started: {command[0]}: {error.strerror}"
            raise PairFailed("failed", reason, None) from None
        self._send(request)

    def order(self, order: Order) -> None:
        """Tells the worker to do something; the answer is waited for by `answer`."""
        self._doing = type(order).__name__.lower()
        self._send(order)

    def answer(self, kind: type[Answer], patience_s: float) -> Answer:
        """The worker's next answer. Raises PairFailed if it is another, or none comes in time."""
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                reason = f"the worker was still in {self._doing} after its limit of {patience_s:g} s and was killed"
                raise PairFailed("timeout", reason, self.log())
            data = os.read(self._answers, CHUNK_BYTES)
            if not data:
                raise PairFailed("failed", exit_reason(self._child.wait(), self._doing), self.log())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return self._decoded(line, kind)

    def log(self) -> str | None:
        """The last of what the worker's libraries printed."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - LOG_BYTES))
        return self._output.read().decode(errors="replace").strip() or None

    def close(self) -> None:
        """Kills the worker and what it started."""
        kill(self._child)
        os.close(self._answers)
        self._output.close()
        if self._child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()

    def __enter__(self) -> PairProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decoded(self, line: bytes, kind: type[Answer]) -> Answer:
        try:
            answer: PairAnswer = msgspec.json.decode(line, type=PairAnswer)
        except msgspec.MsgspecError:
            shown = line[:80].decode(errors="replace")
            reason = f"the worker wrote no message on the pipe for its answers, but {shown!r}"
            raise PairFailed("failed", reason, self.log()) from None
        if isinstance(answer, Trouble):
            raise PairFailed(answer.status, answer.reason, self.log())
        if not isinstance(answer, kind):
            raise PairFailed("failed", f"the worker answered {type(answer).__name__} in {self._doing}", self.log())
        return answer

    def _send(self, message: Order | PairRequest) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already; answer() says how it died
            self._child.stdin.write(msgspec.json.encode(message) + b"\n")
            self._child.stdin.flush()
