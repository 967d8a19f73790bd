"""Files of pairs, which `xibench ab` writes: a header, then a line per pair, written as soon as the pair has ended."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from xibench.errors import Interrupted, NewerFormat, StoreError
from xibench.record import files, migrate
from xibench.record.pairs import PAIRS_VERSION, Pair, PairsHeader


@dataclass(frozen=True, slots=True)
class Pairs:
    """A file of pairs as read; an unterminated last line is left out."""

    header: PairsHeader
    pairs: tuple[Pair, ...]


class PairsFile:
    """A file of pairs that is being written. Use as a context manager."""

    def __init__(self, where: str | Path, header: PairsHeader) -> None:
        """Create a file with its header.

        Args:
            where: The file itself if it ends in .jsonl, else the folder, in which the file is named after the time.
            header: The first line.

        Raises:
            StoreError: The file exists already or cannot be written.
        """
        path = Path(where)
        self.path = path if path.suffix == ".jsonl" else path / _file_name(header)
        self.header = header
        try:
            self._descriptor = files.create(self.path)
        except OSError as error:
            if self.path.is_file():
                raise StoreError(
                    f"file of pairs {self.path} exists already and is not overwritten; name another"
                ) from None
            raise _unwritable(self.path, error) from None
        try:
            files.append(self._descriptor, header)
        except BaseException as error:  # Ctrl-C, too: a file without a pair says nothing
            os.close(self._descriptor)
            with contextlib.suppress(OSError):
                self.path.unlink()
            if isinstance(error, OSError):
                raise _unwritable(self.path, error) from None
            raise

    def append(self, pair: Pair) -> None:
        """Append a pair and return when it is on the disk.

        Raises:
            StoreError: The pair cannot be written; the file is then as it was before.
        """
        try:
            files.append(self._descriptor, pair)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def __enter__(self) -> PairsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        os.close(self._descriptor)
        if kind is KeyboardInterrupt:  # not Stopped, which has the verdicts so far
            raise Interrupted(f"interrupted; the pairs measured so far are in {self.path}") from None


def is_pairs_file(path: str | Path) -> bool:
    """Return whether a file begins like a file of pairs; False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return b'"pairs_header"' in file.read(200)
    except OSError:
        return False


def read(path: str | Path) -> Pairs:
    """Read a file of pairs; one of an older format is migrated.

    Raises:
        StoreError: There is no such file, or it is not a file of pairs.
        NewerFormat: A newer xibench wrote it.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"file of pairs {path} cannot be read: {error.strerror}; name one of `xibench ab`") from None
    first, *rest = [line for _, line in files.split(content)[0]] or [b""]
    try:
        version = msgspec.json.decode(first, type=dict).get("pairs_version", 0)
        if version > PAIRS_VERSION:
            raise NewerFormat(
                f"file of pairs {path} has format {version}, this xibench reads up to {PAIRS_VERSION}: "
                "upgrade with `pip install --upgrade xibench`"
            )
        if version == PAIRS_VERSION:
            header = msgspec.json.decode(first, type=PairsHeader)
            return Pairs(header, tuple(msgspec.json.decode(line, type=Pair) for line in rest))
        header = msgspec.convert(migrate.pairs_header(msgspec.json.decode(first)), PairsHeader)
        return Pairs(header, tuple(msgspec.convert(migrate.pair(msgspec.json.decode(line)), Pair) for line in rest))
    except migrate.DAMAGE as error:
        raise StoreError(f"{path} is not a file of pairs, or damaged: {error}; name one of `xibench ab`") from None


def _file_name(header: PairsHeader) -> str:
    moment = header.created_utc.split(".")[0].split("+")[0].replace("-", "").replace(":", "")
    return f"{moment}Z-{header.environment.machine}-ab.jsonl"


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"file of pairs {path} cannot be written: {error.strerror}; make room, or name another folder")
