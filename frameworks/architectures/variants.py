"""Parsing of variants: named configurations and single fields, combined with `+`.

Examples: `segments_3`, `narrow+jft`, `pointwise_first+segments_4+width=0.5`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from frameworks.errors import InvalidConfiguration, UnknownName

Overrides = Mapping[str, Any]
OF_THE_CASE: Final = ("resolution",)
"""Fields that a case sets separately from its variant."""


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
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for part in variant.split("+"):
        for field, value in _part(model, config, variants, part).items():
            if field in found and found[field] != value:
                raise InvalidConfiguration(
                    f"variant '{variant}' of {model}: {said[field]} sets {field} to {found[field]}, {part} to {value}; "
                    "leave one of them out"
                )
            found[field], said[field] = value, part
    return found


def _part(model: str, config: type, variants: Mapping[str, Overrides], part: str) -> Overrides:
    field, equals, text = part.partition("=")
    if not equals:
        if part not in variants:
            raise UnknownName(f"variant of {model}", part, variants)
        return variants[part]
    hints = get_type_hints(config)
    known = [f.name for f in dataclasses.fields(config) if f.name not in OF_THE_CASE]
    if field not in known:
        raise UnknownName(f"configuration field of {model}", field, known)
    return {field: _value(field, hints[field], text)}


def _value(field: str, hint: Any, text: str) -> Any:
    if get_origin(hint) is Literal:
        values = {str(value): value for value in get_args(hint)}
    elif hint is bool:
        values = {"true": True, "false": False}
    else:
        try:
            return hint(text)
        except ValueError:
            what = "a whole number" if hint is int else "a number"
            raise InvalidConfiguration(f"{field} is '{text}', expected {what}") from None
    if text not in values:
        raise InvalidConfiguration(f"{field} is '{text}', expected one of {', '.join(values)}")
    return values[text]
