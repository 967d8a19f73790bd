"""`xibench list`: every name that the other commands accept."""

from __future__ import annotations

from xibench.cli.options import Json, print_json


def list_names(as_json: Json = False) -> None:
    """List every name that the other commands accept.

    Networks and operators with their variants, frameworks, the NumPy reference, third-party implementations, scenarios,
    recipes, precisions and presets.

    \b
    Example:  xibench list
              xibench list --json
    """
    from xibench.analysis.inventory import inventory

    if as_json:
        print_json(inventory())
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tables import inventory_tables

    for table in inventory_tables(inventory()):
        terminal.show(table)
