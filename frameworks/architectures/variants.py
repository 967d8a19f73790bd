"""Parsing of variants: named configurations and single fields, combined with `+`.

Examples: `segments_3`, `narrow+jft`, `pointwise_first+segments_4+width=0.5`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from frameworks.architectures.fields import fields_of
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
    if not isinstance(variant, str):
        raise UnknownName(f"variant of {model}", variant, variants)
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
    if part in variants:
        return variants[part]
    name, equals, text = part.partition("=")
    known = {name: field for name, field in fields_of(config).items() if name not in OF_THE_CASE}
    if not equals:
        if name not in known:
            raise UnknownName(f"variant of {model}", part, variants)
        raise InvalidConfiguration(
            f"variant '{part}' of {model} is a field without a value; write {part}=VALUE, where VALUE is "
            f"{known[name].takes}"
        )
    if name not in known:
        explained = f"`xibench list {model} --fields` explains them"
        raise UnknownName(f"configuration field of {model}", name, known, explained)
    return {name: known[name].parse(text)}
