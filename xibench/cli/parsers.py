"""How the values of options are parsed.

Each parser raises typer.BadParameter with the value received and what was expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import typer

BYTES: Final = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def list_option(*names: str, metavar: str, help_text: str, item: Callable[[str], Any] = str) -> Any:
    """An option that may be repeated and whose values may be lists separated by commas.

    Args:
        names: of the option, such as `-f` and `--framework`.
        metavar: how help names a value.
        help_text: the option's line in the help.
        item: parses one value.

    Returns:
        What annotates a parameter `list[T] | None`: the values, each once, in the order given; None if the option was
        not given. An option that was given without any value is refused.
    """
    return typer.Option(*names, metavar=metavar, help=help_text, parser=_list_of(item), callback=_join)


def list_argument(metavar: str, help_text: str) -> Any:
    """Names given as arguments, with or without commas between them; see `list_option`."""
    return typer.Argument(metavar=metavar, help=help_text, parser=_list_of(str), callback=_join)


def whole_number(text: str | int) -> int:
    """A number of at least 1."""
    return _at_least(1, text)


def count_from_zero(text: str | int) -> int:
    """A number of at least 0."""
    return _at_least(0, text)


def segments_or_c(text: str) -> int:
    """A number of segments as an item of a list; C is the network with one segment per channel."""
    from xibench.analysis.spectrum import EXTREME

    if text.upper() == "C":
        return EXTREME
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise typer.BadParameter(f"received {text}, expected whole numbers from 1 up, or C (one per channel)")
    return int(text)


def positive_seconds(text: str | float) -> float:
    """A finite time above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"received {text}, expected seconds, a number above 0")
    return value


def share(text: str | float) -> float:
    """A share of something: a number from 0 up and below 1, or a percentage such as 1%."""
    given = str(text).strip()
    value = _number(given[:-1]) / 100 if given.endswith("%") else _number(given)
    if not 0 <= value < 1:
        raise typer.BadParameter(f"received {text}, expected a share from 0 up and below 1, such as 0.01 or 1%")
    return value


def byte_count(text: str | int) -> int:
    """An amount of memory: bytes, or a number with KiB, MiB, GiB or TiB."""
    given = str(text).strip()
    number = given.rstrip("BKMGTi ")
    value = _number(number) * BYTES.get(given[len(number) :].strip(), math.nan)
    if not 1 <= value < math.inf:
        raise typer.BadParameter(f"received {text}, expected bytes, or a number with MiB or GiB, such as 8GiB")
    return round(value)


def _at_least(minimum: int, text: str | int) -> int:
    """Typer's own `min` does not say which value it received."""
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise typer.BadParameter(f"received {text}, expected a whole number of at least {minimum}")
    return number


def _number(text: str | float) -> float:
    """NaN, which lies in no range, for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _list_of(item: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parsed(text: str) -> tuple[Any, ...]:
        return tuple(item(part.strip()) for part in text.split(",") if part.strip())

    return parsed


def _join(values: Iterable[tuple[Any, ...]] | None) -> list[Any] | None:
    """Each value once, of all times that the option was given."""
    if not values:
        return None
    joined = list(dict.fromkeys(value for some in values for value in some))
    if not joined:
        raise typer.BadParameter("received an empty list, expected one or more, separated by commas")
    return joined
