"""`xibench doctor`: what this machine can measure, and what limits it."""

from __future__ import annotations

from xibench.cli.options import Json, print_json


def doctor(as_json: Json = False) -> None:
    """Check what this machine can measure, and what is missing or would disturb a run.

    Lists frameworks, devices and conditions; for everything missing or disturbing its effect and remedy; and the fields
    of a record that stay empty on this machine, with the reason and what would fill them.

    \b
    Example:  xibench doctor
    """
    from xibench.analysis.doctor import diagnose

    found = diagnose()
    if as_json:
        print_json(found)
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tables import doctor_tables

    for table in doctor_tables(found):
        terminal.show(table)
    terminal.say(found.conclusion)
