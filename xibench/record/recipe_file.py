"""A recipe that `xibench tune` found, as a file: what `--recipe FILE` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from xibench.errors import InputError, StoreError
from xibench.record import files
from xibench.record.schema import Case
from xibench.record.text import encode

FORMAT: Final = "xibench recipe"
SUFFIX: Final = ".json"


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as long another recipe's step takes, measured beside the one that was found.

    low, high: the 95 % interval over processes; null where there were too few.
    """

    over: str
    ratio: float
    low: float | None
    high: float | None
    processes: int


class RecipeFile(msgspec.Struct, frozen=True, kw_only=True):
    """format: what the file is. recipe: as `--recipe` takes it, with each choice written out.

    case: what it was tuned for. batch: the best of those that were tried, null where one alone was. runs: the run files
    that it was found from. machine, environment: on which, and the hash of its description.
    """

    format: str
    xibench: str
    created_utc: str
    framework: str
    recipe: str
    case: Case
    machine: str
    environment: str
    batch: int | None = None
    gains: list[Gain] = []
    runs: list[str] = []


def read(path: str | Path) -> RecipeFile:
    """Raises InputError for what is no such file."""
    expected = "expected a file that `xibench tune` wrote"
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=RecipeFile)
    except OSError as error:
        raise InputError(f"recipe file {path} cannot be read: {error.strerror}; {expected}") from None
    except ValueError as error:
        raise InputError(f"recipe file {path} is not one: {error}; {expected}") from None
    if found.format != FORMAT:
        raise InputError(f"recipe file {path}: its format is '{found.format}', expected '{FORMAT}'")
    return found


def write(path: Path, found: RecipeFile) -> None:
    """Whole or not at all, in place of an earlier one. Raises StoreError."""
    try:
        files.put(path, msgspec.json.format(encode(found), indent=2) + b"\n")
    except OSError as error:
        raise StoreError(f"recipe file {path} cannot be written: {error.strerror}; name another with --out") from None
