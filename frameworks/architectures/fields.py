"""The fields of a configuration, and variants: named configurations and single fields, combined with `+`.

Each field says beside its declaration what it means and which values it takes; checks, the parsing of variants,
messages and `xibench list` read these annotations:

    dropout: Annotated[float, "rate before the logits", SHARE] = 0.5

Examples of variants: `segments_3`, `narrow+jft`, `pointwise_first+segments_4+width=0.5`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from frameworks.errors import InvalidConfiguration, UnknownName

Overrides = Mapping[str, Any]
OF_THE_CASE: Final = ("resolution",)
"""Fields that a case sets separately from its variant."""


class Range(NamedTuple):
    """The numbers that a field takes.

    text: says which. contains: whether a number is one of them.
    """

    text: str
    contains: Callable[[Any], bool]


COUNT: Final = Range("a whole number of at least 1", lambda number: number >= 1)
POSITIVE: Final = Range("a number above 0", lambda number: 0 < number < math.inf)
SHARE: Final = Range("a number from 0 up to, not including, 1", lambda number: 0 <= number < 1)


class Field(msgspec.Struct, frozen=True):
    """A field of a configuration.

    kind: int, float, bool or a Literal of strings. meaning: of the field.
    numbers: those that it takes; None for other kinds.
    """

    name: str
    kind: Any
    meaning: str
    numbers: Range | None = None

    @property
    def choices(self) -> dict[str, str | bool]:
        """The values of a field that is no number, as they are written; empty for a number."""
        if self.kind is bool:
            return {"true": True, "false": False}
        return {value: value for value in get_args(self.kind)}

    @property
    def takes(self) -> str:
        """The values of the field, in words."""
        return self.numbers.text if self.numbers else f"one of {', '.join(self.choices)}"

    def parse(self, text: str) -> Any:
        """Return the value that a variant gives as text. Raises InvalidConfiguration for text that is not one."""
        try:
            return self.choices[text] if self.numbers is None else self.kind(text)
        except (KeyError, ValueError):
            raise self._wrong(text) from None

    def checked(self, value: Any) -> Any:
        """Return a value as the field's own type. Raises InvalidConfiguration for a value that it does not take."""
        if self.numbers is None:
            if type(value) in (str, bool) and value in self.choices.values():
                return value
        elif not isinstance(value, bool) and isinstance(value, Integral if self.kind is int else Real):
            number = self.kind(value)  # also of NumPy's types
            if self.numbers.contains(number):
                return number
        raise self._wrong(value)

    def _wrong(self, value: Any) -> InvalidConfiguration:
        return InvalidConfiguration(f"{self.name} is {value!r}, expected {self.takes}")


@cache
def fields_of(config: type) -> dict[str, Field]:
    """Return the fields of a configuration's class by name. A subclass that changes a default keeps the meaning."""
    found: dict[str, Field] = {}
    for owner in reversed(config.__mro__):
        for name, hint in get_type_hints(owner, include_extras=True).items():
            if get_origin(hint) is Annotated:
                kind, *notes = get_args(hint)
                found[name] = Field(name, kind, *notes)
    return found


def check(config: Any) -> None:
    """Give every field of a configuration its own type. Raises InvalidConfiguration for a value that is not allowed."""
    kind: type = type(config)
    for name, field in fields_of(kind).items():
        object.__setattr__(config, name, field.checked(getattr(config, name)))  # frozen for everybody else


def overrides(model: str, config: type, variants: Mapping[str, Overrides], variant: str) -> dict[str, Any]:
    """The configuration fields that a variant overrides.

    Args:
        model: name of the model, for messages.
        config: class of its configuration.
        variants: its named variants.
        variant: as written.

    Raises:
        UnknownName: a part is neither a variant nor a field.
        InvalidConfiguration: a value does not have the field's type, or two parts set a field to different values.
    """
    if not isinstance(variant, str):
        raise UnknownName(f"variant of {model}", variant, variants)
    known = {name: field for name, field in fields_of(config).items() if name not in OF_THE_CASE}
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for part in variant.split("+"):
        name, equals, text = part.partition("=")
        if part in variants:
            sets = variants[part]
        elif equals and name in known:
            sets = {name: known[name].parse(text)}
        elif equals:
            explained = f"`xibench list {model} --fields` explains them"
            raise UnknownName(f"configuration field of {model}", name, known, explained)
        elif name in known:
            raise InvalidConfiguration(
                f"variant '{part}' of {model} is a field without a value; write {part}=VALUE, where VALUE is "
                f"{known[name].takes}"
            )
        else:
            raise UnknownName(f"variant of {model}", part, variants)
        for field, value in sets.items():
            if field in found and found[field] != value:
                raise InvalidConfiguration(
                    f"variant '{variant}' of {model}: {said[field]} sets {field} to {found[field]}, {part} to {value}; "
                    "leave one of them out"
                )
            found[field], said[field] = value, part
    return found
