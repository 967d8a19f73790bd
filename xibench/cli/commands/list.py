"""`xibench list`: every name that the other commands take."""

from __future__ import annotations

from xibench.cli.options import Json, print_json


def list_names(as_json: Json = False) -> None:
    """Every name that the other commands take.

    Networks with their variants, frameworks, contenders, scenarios, recipes, precisions and presets.

    \b
    Example:  xibench list --json
    """
    from xibench.analysis.inventory import inventory

    if as_json:
        print_json(inventory())
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tables import inventory_tables

    for table in inventory_tables(inventory()):
        terminal.show(table)
