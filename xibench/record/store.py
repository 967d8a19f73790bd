"""The run file: JSON lines, a header followed by one line per worker process. Each line is complete or absent.

A line is written, flushed and synced as soon as its process has ended. If writing fails, the incomplete part is cut off
again, so the file stays valid. If the parent dies while writing, the last line is unterminated: `read` ignores it, and
`RunFile.resume` cuts it off.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from xibench.errors import Interrupted, NewerFormat, NoSuchFile, StoreError
from xibench.record import files, migrate
from xibench.record.files import uninterrupted
from xibench.record.index import AttemptIndex
from xibench.record.schema import FORMAT_VERSION, Attempt, Calibration, Header, Record
from xibench.record.text import shell_word

Line = Attempt | Calibration
_DECODER: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


@dataclass(frozen=True)
class Run:
    """A run file as read. cut_line: its last line was unterminated and has been left out."""

    header: Header
    attempts: tuple[Attempt, ...]  # every worker process, in the order started
    calibrations: tuple[Calibration, ...]
    cut_line: bool

    @cached_property
    def index(self) -> AttemptIndex:
        """The attempts grouped by case."""
        return AttemptIndex(self.header.plan, self.header.sampling, self.attempts)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The cases that have an attempt, in the order of the plan."""
        return tuple(self.index.records())

    @property
    def calibration(self) -> Calibration | None:
        """The device's ceilings and idle power as measured last; None if they were not."""
        return self.calibrations[-1] if self.calibrations else None


class _Tag(msgspec.Struct):
    type: str = ""
    format_version: int = 0
    created_utc: str = ""


@dataclass
class RunFile(AbstractContextManager["RunFile"]):
    """A run file that is being written. Use as a context manager, or call `close`."""

    path: Path
    header: Header
    environment_hash: str  # the header's, unless the run is resumed in another environment
    index: AttemptIndex  # of the attempts in the file
    calibrations: list[Calibration]
    _descriptor: int

    @classmethod
    def create(cls, where: str | Path, header: Header) -> RunFile:
        """Create a file with its header.

        Args:
            where: The file itself if it ends in .jsonl, else a folder, in which the file is named after the run.
            header: Its first line.

        Raises:
            StoreError: If the file exists already or cannot be written.
        """
        path = Path(where)
        if path.suffix != ".jsonl":
            path = path / file_name(header)
        try:
            descriptor = files.create(path)
        except OSError as error:
            if path.is_file():
                raise StoreError(
                    f"run file {path} exists already and is not overwritten; "
                    f"resume it (`{resume_command(path)}`) or name another"
                ) from None
            raise _refused(path, "made", error, "name a folder that can be written") from None
        try:
            files.append(descriptor, header)
        except BaseException as error:  # Ctrl-C, too: a file without an attempt would be the latest run
            path.unlink()
            os.close(descriptor)
            if isinstance(error, OSError):
                raise _refused(path, "written", error, "make room, then run again") from None
            raise
        index = AttemptIndex(header.plan, header.sampling)
        return cls(path, header, header.environment_hash, index, [], descriptor)

    @classmethod
    def resume(cls, path: str | Path, environment_hash: str | None = None) -> RunFile:
        """Open an existing file to append to it; an unterminated last line is cut off.

        Args:
            path: The run file.
            environment_hash: Of the environment that the run is resumed in; None: the header's.

        Raises:
            NewerFormat: If a newer xibench wrote the file.
            StoreError: As `read` raises it; also if the file cannot be written, or if another process writes it.
        """
        path = Path(path)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            read(path)  # raises an error of its own if the file cannot be read either
            raise _refused(path, "written", error, "copy it to where it can be") from None
        try:
            if writer := files.lock(descriptor):
                raise StoreError(f"run file {path} is being written by {writer}; wait until that has ended, or end it")
            run = read(path)
            _refuse_older(path)
            if run.cut_line:
                os.ftruncate(descriptor, path.read_bytes().rfind(b"\n") + 1)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise _refused(path, "written", error, "copy it to where it can be") from None
            raise
        now_in = environment_hash or run.header.environment_hash
        return cls(path, run.header, now_in, run.index, list(run.calibrations), descriptor)

    def append(self, line: Line) -> None:
        """Append one line and return when it is on the disk.

        Raises:
            StoreError: If that fails; the file is then as it was before.
        """
        with uninterrupted():
            try:
                files.append(self._descriptor, line)
            except OSError as error:
                cure = f"what it holds is valid: make room, then `{resume_command(self.path)}`"
                raise _refused(self.path, "written", error, cure) from None
            if isinstance(line, Attempt):
                self.index.add(line)
            else:
                self.calibrations.append(line)

    def close(self) -> None:
        """Close the file; closing it again has no effect."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file. Raises Interrupted on Ctrl-C, with the command that resumes the run."""
        self.close()
        if kind and issubclass(kind, KeyboardInterrupt):
            raise Interrupted(f"interrupted; go on with `{resume_command(self.path)}`") from None


def resume_command(path: str | Path) -> str:
    """Return the command that resumes a run file; the path is quoted for a shell."""
    return f"xibench run --resume {shell_word(str(path))}"


def file_name(header: Header) -> str:
    """`<utc>-<machine>-<short id>.jsonl`, which sorts by time."""
    moment = header.created_utc.split(".")[0].split("+")[0].rstrip("Z").replace("-", "").replace(":", "")
    return f"{moment}Z-{header.environment.machine}-{header.run_id[:6]}.jsonl"


def read(path: str | Path) -> Run:
    """Read a run file; one of an older format is migrated.

    Raises:
        StoreError: If there is no such file or it is no run file.
        NewerFormat: If a newer xibench wrote it.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NoSuchFile(f"run file {path} does not exist; `xibench run` writes one into results/runs") from None
    except OSError as error:
        raise _refused(path, "read", error, "name a file that `xibench run` wrote") from None
    whole, rest = files.split(content)
    if not whole:
        raise StoreError(f"run file {path} has no whole header line: nothing was measured; delete it and run anew")

    # Lines of an older format are migrated one by one, with the file's own header at hand.
    (number, first), *following = whole
    older = None if _format_version(path, first) == FORMAT_VERSION else first
    found = list[Line]()
    try:
        if older is None:
            header = msgspec.json.decode(first, type=Header)
        else:
            header = msgspec.convert(migrate.header(msgspec.json.decode(older)), Header)
            written = msgspec.json.decode(older)
        for number, line in following:  # noqa: B007  # names a damaged line
            if older is not None:
                line = msgspec.json.encode(migrate.following(msgspec.json.decode(line), written))
            found.append(_DECODER.decode(line))
    except migrate.DAMAGE as error:
        raise StoreError(
            f"run file {path}, line {number} is damaged: {error}; remove that line, or restore a copy"
        ) from None
    attempts = sorted((line for line in found if isinstance(line, Attempt)), key=lambda attempt: attempt.order)
    calibrations = tuple(line for line in found if isinstance(line, Calibration))
    return Run(header, tuple(attempts), calibrations, cut_line=bool(rest))


def latest(folder: str | Path) -> Path:
    """The newest run file of a folder, by the time at which its run began, whatever its name.

    Raises:
        NoSuchFile: If there is none.
    """
    for path in newest_first(folder):
        return path
    raise NoSuchFile(f"no run file in {folder}; `xibench run --preset quick` writes one")


def newest_first(folder: str | Path) -> list[Path]:
    """Return the run files of a folder, the newest first, by the time at which each run began."""
    return sorted(Path(folder).glob("*.jsonl"), key=_began, reverse=True)


def _began(path: Path) -> tuple[float, float]:
    """When a run began and when its file was changed, in seconds since 1970; twice the latter if it is no run file."""
    changed = path.stat().st_mtime
    try:
        tag = msgspec.json.decode(_first_line(path), type=_Tag)
        return datetime.fromisoformat(tag.created_utc).timestamp(), changed
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return changed, changed


def _first_line(path: Path) -> bytes:
    """Return the first line that is not blank, without reading the rest of the file; empty if there is none."""
    with path.open("rb") as file:
        return next((text for line in file if (text := line.removeprefix(files.BYTE_ORDER_MARK).strip())), b"")


def _format_version(path: Path, line: bytes) -> int:
    try:
        tag = msgspec.json.decode(line, type=_Tag)
    except ValueError:
        tag = _Tag()
    if tag.type != "header":
        raise StoreError(f"{path} is not a run file: its first line is no header; name a file that xibench run wrote")
    if tag.format_version > FORMAT_VERSION:
        raise NewerFormat(
            f"run file {path} has format {tag.format_version}, this xibench reads up to {FORMAT_VERSION}: "
            "it was written by a newer xibench; upgrade with `pip install --upgrade xibench`"
        )
    return tag.format_version


def _refuse_older(path: Path) -> None:
    version = _format_version(path, _first_line(path))
    if version != FORMAT_VERSION:
        raise StoreError(
            f"run file {path} has format {version}: it can be read but not resumed, this xibench writes "
            f"format {FORMAT_VERSION}; start a new run"
        )


def _refused(path: Path, verb: str, error: OSError, cure: str) -> StoreError:
    return StoreError(f"run file {path} cannot be {verb}: {error.strerror}; {cure}")
