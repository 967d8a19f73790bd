"""What several commands share: lists given with commas, one JSON document on stdout, and which run file is meant."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from xibench.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A network or operator; `xibench list` shows them.")]
Variant = Annotated[
    str, typer.Option(metavar="NAME", help="A configuration: names and fields joined by +, such as jft+width=0.5.")
]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Run files; the newest if none is named.")]
RUNS: Final = Path("results/runs")
"""Where runs are written and looked for, under the current directory."""
BYTES: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def split(values: Iterable[str] | None, option: str) -> tuple[str, ...]:
    """The names of a repeatable option, each of which may be a comma-separated list; each once, in the order given.

    Empty where the option was not given. Raises UsageError if it was given without a name.
    """
    parts = [part.strip() for value in values or () for part in value.split(",")]
    names = tuple(dict.fromkeys(part for part in parts if part))
    if values and not names:
        raise UsageError(f"{option}: received an empty list, expected one or more, separated by commas")
    return names


def whole_numbers(values: Iterable[str] | None, option: str) -> tuple[int, ...]:
    """The numbers of a repeatable, comma-separated option; raises UsageError for one that is not at least 1."""
    texts = split(values, option)
    for text in texts:
        if (_number(text) or 0) < 1:
            raise UsageError(f"{option}: received {text}, expected a whole number of at least 1")
    return tuple(map(int, texts))


def whole_number(text: str | int) -> int:
    """Parses an option that is at least 1. Raises typer.BadParameter with the value received."""
    number = _number(text)
    if number is None or number < 1:
        raise typer.BadParameter(f"received {text}, expected a whole number of at least 1")
    return number


def count_from_zero(text: str | int) -> int:
    """Parses an option that is at least 0. Raises typer.BadParameter with the value received."""
    number = _number(text)
    if number is None or number < 0:
        raise typer.BadParameter(f"received {text}, expected a whole number of at least 0")
    return number


def positive_seconds(text: str | float) -> float:
    """Parses a time limit. Raises typer.BadParameter with the value received."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"received {text}, expected seconds, a number above 0")
    return value


def share(text: str | float) -> float:
    """Parses a share of something: a number from 0 up and below 1, or a percentage such as 1%.

    Raises typer.BadParameter with the value received.
    """
    given = str(text).strip()
    try:
        value = float(given[:-1]) / 100 if given.endswith("%") else float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise typer.BadParameter(f"received {text}, expected a share from 0 up and below 1, such as 0.01 or 1%")
    return value


def byte_count(text: str | int) -> int:
    """Parses an amount of memory: bytes, or a number with KiB, MiB, GiB or TiB. Raises typer.BadParameter."""
    number, unit = _split_unit(str(text).strip())
    try:
        value = float(number) * BYTES[unit]
    except (ValueError, KeyError):
        value = 0.0
    if not 1 <= value < float("inf"):
        raise typer.BadParameter(f"received {text}, expected bytes, or a number with MiB or GiB, such as 8GiB")
    return round(value)


def print_json(document: Any) -> None:
    """Writes one indented JSON document to stdout. Takes msgspec Structs, dataclasses and builtins."""
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def run_paths(names: Iterable[str] | None) -> list[Path]:
    """The run files that are meant, `latest` if none is named. Raises StoreError if there is none."""
    return [run_path(name) for name in names or ["latest"]]


def run_path(name: str) -> Path:
    """The run file that is meant: a path, or `latest` for the newest of results/runs. Raises StoreError without one."""
    from xibench.record.store import latest

    return latest(RUNS) if name == "latest" else Path(name)


def _split_unit(text: str) -> tuple[str, str]:
    """`8 GiB` -> (`8`, `GiB`)."""
    number = text.rstrip("BKMGTi ")
    return number, text[len(number) :].strip()


def _number(text: str | int) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
