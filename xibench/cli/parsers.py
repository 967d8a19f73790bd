"""Parsers of option values. Each raises typer.BadParameter with the value received and the values expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import typer

BYTES: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def list_option(
    *names: str,
    metavar: str,
    help_text: str,
    item: Callable[[str], Any] = str,
    declare: Callable[..., Any] = typer.Option,
) -> Any:
    """Declare an option that may be repeated and whose values may be lists separated by commas.

    Args:
        names: Names of the option, such as `-f` and `--framework`.
        metavar: Placeholder of a value in the help.
        help_text: Help of the option.
        item: Parser of one value.
        declare: typer.Option, or typer.Argument for arguments.

    Returns:
        The annotation of a parameter `list[T] | None`. The parameter is None if the option was not given, otherwise the
        distinct values in order. An option without any value is refused.
    """

    def parsed(text: str) -> tuple[Any, ...]:
        return tuple(item(part.strip()) for part in text.split(",") if part.strip())

    return declare(*names, metavar=metavar, help=help_text, parser=parsed, callback=_join)


def _join(lists: Iterable[tuple[Any, ...]] | None) -> list[Any] | None:
    """Join the lists of all occurrences of an option, without duplicates."""
    if not lists:
        return None
    joined = list(dict.fromkeys(value for values in lists for value in values))
    if not joined:
        raise typer.BadParameter("received an empty list, expected one or more, separated by commas")
    return joined


def whole_number(text: str | int, minimum: int = 1) -> int:
    """Parse a whole number of at least `minimum`. (The message of typer's own `min` for no number names no range.)"""
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise typer.BadParameter(f"received {text}, expected a whole number of at least {minimum}")
    return number


def count_from_zero(text: str | int) -> int:
    """Parse a whole number of at least 0."""
    return whole_number(text, minimum=0)


def segments_or_c(text: str) -> int:
    """Parse a number of segments; C stands for one segment per channel."""
    from xibench.analysis.spectrum import EXTREME

    if text.upper() == "C":
        return EXTREME
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise typer.BadParameter(f"received {text}, expected whole numbers from 1 up, or C (one per channel)")
    return int(text)


def positive_seconds(text: str | float) -> float:
    """Parse a time in seconds, finite and above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"received {text}, expected seconds, a number above 0")
    return value


def share(text: str | float) -> float:
    """Parse a share in [0, 1), as a number or as a percentage such as 1%."""
    given = str(text).strip()
    value = _number(given[:-1]) / 100 if given.endswith("%") else _number(given)
    if not 0 <= value < 1:
        raise typer.BadParameter(f"received {text}, expected a share from 0 up and below 1, such as 0.01 or 1%")
    return value


def byte_count(text: str | int) -> int:
    """Parse an amount of memory in bytes; the suffixes KiB, MiB, GiB and TiB are understood."""
    given = str(text).strip()
    number = given.rstrip("BKMGTi ")
    value = _number(number) * BYTES.get(given[len(number) :].strip(), math.nan)
    if not 1 <= value < math.inf:
        raise typer.BadParameter(f"received {text}, expected bytes, or a number with MiB or GiB, such as 8GiB")
    return round(value)


def _number(text: str | float) -> float:
    """Return the number, or NaN, which is in no range, if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
