from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Annotated, Any

import pytest
import typer

from xibench.cli.commands.run import run
from xibench.cli.options import (
    Only,
    RunFileOptions,
    SamplingOptions,
    SelectionOptions,
    expand_options,
    list_option,
    whole_number,
)


@dataclass(frozen=True, kw_only=True)
class Shared:
    names: Annotated[list[str] | None, list_option("--name", metavar="NAME", help_text="Names.")] = None
    count: Annotated[int | None, typer.Option(parser=whole_number, help="A count.")] = None
    other: Annotated[int, typer.Option(help="Offered by some commands alone.")] = 7


def called_with(arguments: list[str]) -> dict[str, Any]:
    """Call the command below and return the values that it receives."""
    received: dict[str, Any] = {}

    @expand_options
    def command(
        first: Annotated[str, typer.Argument()] = "x",
        *,
        shared: Annotated[Shared, Only("names", "count")],
        last: Annotated[bool, typer.Option("--last")] = False,
    ) -> None:
        received.update(first=first, shared=shared, last=last)

    application = typer.Typer()
    application.command()(command)
    application(arguments, standalone_mode=False)
    return received


def test_a_command_receives_the_dataclass_built_from_its_options() -> None:
    assert called_with(["y", "--name", "a,b", "--name", "b,c", "--count", "3", "--last"]) == {
        "first": "y", "shared": Shared(names=["a", "b", "c"], count=3), "last": True,
    }  # fmt: skip


def test_options_that_were_not_given_keep_the_defaults_of_the_dataclass() -> None:
    assert called_with([]) == {"first": "x", "shared": Shared(), "last": False}


def test_an_option_that_the_command_does_not_offer_is_refused() -> None:
    with pytest.raises(typer.TyperException, match="--other"):
        called_with(["--other", "1"])


def test_offering_an_unknown_field_raises_a_type_error() -> None:
    def command(*, shared: Annotated[Shared, Only("nmaes")]) -> None: ...

    command.__annotations__["shared"] = Annotated[Shared, Only("nmaes")]
    with pytest.raises(TypeError, match="nmaes"):
        expand_options(command)


def test_options_take_the_place_of_their_dataclass_in_the_order_of_its_fields() -> None:
    shared = [f.name for kind in (SelectionOptions, SamplingOptions, RunFileOptions) for f in fields(kind)]
    assert list(inspect.signature(run).parameters) == ["context", "preset", "again", *shared, "as_json"]
