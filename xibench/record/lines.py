"""Files of results as lines: written so that each is complete or absent, read in spite of harmless damage."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec

from xibench.record import text
from xibench.record.uninterrupted import uninterrupted

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
APPENDING: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC


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
