"""Files and folders that are complete or absent, whatever signal arrives; files of results as lines.

A signal that arrives within `uninterrupted` is handled after it. Harmless changes to a file of lines, such as an editor
or a merge may make, are ignored on reading.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

from xibench.errors import Interrupted
from xibench.record import text

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
APPENDING: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command, each as Ctrl-C does."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Run the body of a with statement to its end, even if a signal arrives, which is then handled after it.

    Raises:
        KeyboardInterrupt: After the body, if a signal arrived that ends the command.
    """
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    try:
        if threading.current_thread() is threading.main_thread():  # no other thread is interrupted, or may set handlers
            for number in ENDING:
                if callable(handler := signal.getsignal(number)):
                    handlers[number] = handler
                    signal.signal(number, remember)
        yield
    finally:
        for replaced, handler in handlers.items():
            signal.signal(replaced, handler)
        if arrived:
            handlers[arrived[0]](arrived[0], None)


@contextlib.contextmanager
def saying_if_interrupted(cure: str) -> Iterator[None]:
    """Turn Ctrl-C in the body of a with statement into Interrupted, with what the user can do then."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {cure}") from None


class ScratchFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder, which no signal leaves behind. Use as a context manager; raises OSError.

    Args:
        prefix: Beginning of its name.
        folder: Where it is created; None: the usual place for temporary files.
    """

    def __init__(self, prefix: str, folder: str | None = None) -> None:
        try:
            with uninterrupted():
                super().__init__(prefix=prefix, dir=folder)
        except KeyboardInterrupt:
            self.cleanup()
            raise

    def cleanup(self) -> None:
        """Delete the folder with what it contains."""
        with uninterrupted():
            super().cleanup()


def create(path: Path) -> int:
    """A new, empty file, open for appending and locked; its folder is made. Raises OSError, also if the file exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, APPENDING | os.O_CREAT | os.O_EXCL, 0o666)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def lock(descriptor: int) -> str | None:
    """Lock a file that is open for appending, until it is closed or its process ends.

    Returns:
        Who has locked it already, as `process 123`; None if nobody has, or if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        inode = os.fstat(descriptor).st_ino
        with contextlib.suppress(OSError):
            for line in Path("/proc/locks").read_text().splitlines():
                fields = line.split()
                if len(fields) >= 6 and fields[5].rpartition(":")[2] == str(inode) and fields[4] != str(os.getpid()):
                    return f"process {fields[4]}"
        return "another process"
    except OSError:
        pass
    return None


def open_or_create(path: Path) -> int:
    """A file that may exist already, open for appending. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, APPENDING | os.O_CREAT, 0o666)


def append(descriptor: int, line: msgspec.Struct) -> None:
    """Adds one line and returns when it is on the disk.

    Raises OSError if that fails; what got there of the line is cut off again. Ctrl-C is raised after the line, which
    took long to measure, is complete.
    """
    before = os.fstat(descriptor).st_size
    left = memoryview(text.encode(line) + b"\n")
    with uninterrupted():
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except BaseException:
            os.ftruncate(descriptor, before)
            raise


def split(content: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The lines of a file with their numbers, from 1, and the unterminated last line, empty if there is none.

    What an editor, a merge or a transfer may have added is left out: blank lines, carriage returns and a byte order
    mark.
    """
    *whole, last = content.removeprefix(BYTE_ORDER_MARK).split(b"\n")
    numbered = [(number, line) for number, line in enumerate(whole, start=1) if line and not line.isspace()]
    return numbered, last.strip()


def put(path: Path, content: bytes) -> None:
    """A whole file in place of an earlier one; its folder is made. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    with uninterrupted():
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(content)
        os.replace(new, path)  # noqa: PTH105  # as one step
