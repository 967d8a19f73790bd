"""`xibench doctor`: can this machine measure, and what will be skipped?"""

from __future__ import annotations

from xibench.cli.options import Json, print_json


def doctor(as_json: Json = False) -> None:
    """Can this machine measure, and what will be skipped?

    Frameworks, devices and conditions; for whatever lacks or disturbs, what comes of it and the cure; which fields of a
    record stay empty here, why, and what would fill them.

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
