"""`xibench list`: every name that the other commands accept."""

from __future__ import annotations

from typing import Annotated

import typer

from xibench.cli.options import Json, print_json
from xibench.errors import UsageError


def list_names(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Only the variants of this network or operator.")
    ] = None,
    fields: Annotated[
        bool, typer.Option("--fields", help="List the fields of MODEL that --variant can set, as in width=0.5.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List every name that the other commands accept.

    Networks and operators with their variants, frameworks, the NumPy reference, third-party implementations, scenarios,
    recipes, precisions and presets. With MODEL, what each of its variants sets, or the fields that a variant can set.

    \b
    Example:  xibench list
              xibench list xception
              xibench list xception --fields
    """
    from xibench.analysis.inventory import inventory, variants_of

    if fields and model is None:
        raise UsageError("list: received --fields without a MODEL, whose fields it lists; `xibench list` names them")
    found = inventory() if model is None else variants_of(model)
    if as_json:
        print_json(found)
        return
    from xibench.cli.render import tables, terminal

    if model is None:
        for table in tables.inventory_tables(found):
            terminal.show(table)
        print("`xibench list MODEL` lists what its variants set, `xibench list MODEL --fields` what a variant can set.")
    else:
        terminal.show(tables.field_table(found) if fields else tables.variant_table(found))
