"""Commands that take a dataclass of options: each of its fields becomes an option of the command.

    @expand_options
    def run(*, selection: SelectionOptions, sampling: Annotated[SamplingOptions, Only("processes")]) -> None: ...

Typer reads a command's options from its signature, one parameter per option. What several commands share is declared
once, as a dataclass whose fields are annotated as typer expects its parameters.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Only:
    """Annotation: the fields of a dataclass that a command offers; the others keep their defaults."""

    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass(frozen=True)
class _Options:
    """One dataclass parameter of a command, and its fields as parameters."""

    kind: type
    parameters: Mapping[str, inspect.Parameter]


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter of a command that is a dataclass by the dataclass's fields, in their order.

    Args:
        command: a function of keyword arguments, annotated as typer expects, and with dataclasses of options.

    Returns:
        The same command with one parameter per option, which builds the dataclasses and calls `command` with them.
    """
    hints = get_type_hints(command, include_extras=True)
    own = {name: p.replace(annotation=hints[name]) for name, p in inspect.signature(command).parameters.items()}
    groups = {name: options for name in own if (options := _options(hints[name])) is not None}

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        for name, options in groups.items():
            given[name] = options.kind(**{field: given.pop(field) for field in options.parameters})
        command(**given)

    parameters = [
        parameter
        for name, plain in own.items()
        for parameter in (groups[name].parameters.values() if name in groups else (plain,))
    ]
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _options(annotation: Any) -> _Options | None:
    """The fields of an annotation that is a dataclass, possibly restricted by `Only`; None for any other."""
    kind, *extras = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    hints = get_type_hints(kind, include_extras=True)
    offered = next((extra.names for extra in extras if isinstance(extra, Only)), tuple(hints))
    parameters = {
        field.name: inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(kind)
        if field.name in offered
    }
    if unknown := set(offered) - set(parameters):
        raise TypeError(f"{kind.__name__} has no option {', '.join(sorted(unknown))}")
    return _Options(kind, parameters)
