"""The run file: JSON lines, a header and then a record per case. A line is whole or it is not there.

A line is written, flushed and synced as soon as its case has ended. If it cannot be written, what got there of it is
cut off again, so that the file stays valid. A process that dies in the middle leaves an unterminated last line: `read`
leaves it out and `RunFile.resume` cuts it off.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from xibench.errors import NewerFormat, StoreError
from xibench.record.schema import FORMAT_VERSION, Case, Header, Record


@dataclass(frozen=True, slots=True)
class Run:
    """A run file as read. cut_line: its last line was unterminated and has been left out."""

    header: Header
    records: tuple[Record, ...]
    cut_line: bool


class _Tag(msgspec.Struct):
    type: str = ""
    format_version: int = 0


class RunFile:
    """A run file that is being written. Use as a context manager, or call `close`."""

    def __init__(
        self, path: Path, descriptor: int, header: Header, records: tuple[Record, ...], environment_hash: str
    ) -> None:
        self.path = path
        self.header = header
        self.environment_hash = environment_hash  # the header's, unless the run is resumed in another environment
        self._descriptor = descriptor
        self._measured = {record.case for record in records}

    @classmethod
    def create(cls, where: str | Path, header: Header) -> RunFile:
        """A new file: `where` itself if it ends in .jsonl, else a file in the folder `where`, named after the run.

        Raises StoreError if the file exists already or cannot be written.
        """
        path = Path(where)
        if path.suffix != ".jsonl":
            path = path / file_name(header)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if path.is_file():
                raise StoreError(
                    f"run file {path} exists already and is not overwritten; "
                    f"go on with it (`{resume_command(path)}`) or name another"
                ) from None
            raise _refused(path, "made", error, "name a folder that can be written") from None
        try:
            made = cls(path, descriptor, header, (), header.environment_hash)
            made._write(header, "make room, then run again")
        except BaseException:  # Ctrl-C, too: a file without a header would be the latest run
            path.unlink()
            os.close(descriptor)
            raise
        return made

    @classmethod
    def resume(cls, path: str | Path, environment_hash: str | None = None) -> RunFile:
        """An existing file, to go on with; an unterminated last line is cut off.

        environment_hash: of the environment that it is resumed in; None: the header's.
        Raises NewerFormat or StoreError as `read` does, StoreError also if the file cannot be written.
        """
        path = Path(path)
        run = read(path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            if run.cut_line:
                os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            raise _refused(path, "written", error, "copy it to where it can be") from None
        return cls(path, descriptor, run.header, run.records, environment_hash or run.header.environment_hash)

    def pending(self) -> list[Case]:
        """The planned cases that have no record yet, in the order of the plan."""
        return [case for case in self.header.plan if case not in self._measured]

    def append(self, record: Record) -> None:
        """Adds one line and returns when it is on the disk. Raises StoreError; then the file is as it was before."""
        self._write(record, f"what it holds is valid: make room, then `{resume_command(self.path)}`")
        self._measured.add(record.case)

    def close(self) -> None:
        """Closes the file; twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> RunFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: Header | Record, cure: str) -> None:
        before = os.fstat(self._descriptor).st_size
        left = memoryview(msgspec.json.encode(line) + b"\n")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except BaseException as error:  # Ctrl-C between two partial writes, too, must not leave half a line
            os.ftruncate(self._descriptor, before)
            if isinstance(error, OSError):
                raise _refused(self.path, "written", error, cure) from None
            raise


def resume_command(path: str | Path) -> str:
    """What to type to go on with a run file; the path is quoted for a shell."""
    return f"xibench run --resume {shlex.quote(str(path))}"


def file_name(header: Header) -> str:
    """`<utc>-<machine>-<short id>.jsonl`, which sorts by time."""
    moment = header.created_utc.split(".")[0].split("+")[0].rstrip("Z").replace("-", "").replace(":", "")
    return f"{moment}Z-{header.environment.machine}-{header.run_id[:6]}.jsonl"


def read(path: str | Path) -> Run:
    """A run file's header and records.

    Raises StoreError if there is no such file or it is no run file, NewerFormat if a newer xibench wrote it.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"run file {path} does not exist; `xibench run` writes one into results/runs") from None
    except OSError as error:
        raise _refused(path, "read", error, "name a file that `xibench run` wrote") from None
    *lines, rest = content.split(b"\n")
    if not lines:
        raise StoreError(f"run file {path} has no whole header line: nothing was measured; delete it and run anew")
    header = _header(path, lines[0])
    records = tuple(_record(path, number, line) for number, line in enumerate(lines[1:], start=2))
    return Run(header, records, cut_line=bool(rest))


def latest(folder: str | Path) -> Path:
    """The newest run file of a folder, by name. Raises StoreError if there is none."""
    found = sorted(Path(folder).glob("*.jsonl"))
    if not found:
        raise StoreError(f"no run file in {folder}; `xibench run --preset quick` writes one")
    return found[-1]


def _header(path: Path, line: bytes) -> Header:
    try:
        tag = msgspec.json.decode(line, type=_Tag)
    except msgspec.MsgspecError:
        tag = _Tag()
    if tag.type != "header":
        raise StoreError(f"{path} is not a run file: its first line is no header; name a file that xibench run wrote")
    if tag.format_version > FORMAT_VERSION:
        raise NewerFormat(
            f"run file {path} has format {tag.format_version}, this xibench reads up to {FORMAT_VERSION}: "
            "it was written by a newer xibench; upgrade with `pip install --upgrade xibench`"
        )
    try:
        return msgspec.json.decode(line, type=Header)
    except msgspec.MsgspecError as error:
        raise _damaged(path, 1, error) from None


def _record(path: Path, number: int, line: bytes) -> Record:
    try:
        return msgspec.json.decode(line, type=Record)
    except msgspec.MsgspecError as error:
        raise _damaged(path, number, error) from None


def _damaged(path: Path, number: int, error: Exception) -> StoreError:
    return StoreError(f"run file {path}, line {number} is damaged: {error}; remove that line, or restore a copy")


def _refused(path: Path, verb: str, error: OSError, cure: str) -> StoreError:
    return StoreError(f"run file {path} cannot be {verb}: {error.strerror}; {cure}")
