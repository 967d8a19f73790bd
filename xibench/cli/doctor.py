"""`xibench doctor`: can this machine measure, and what will be skipped?"""

from __future__ import annotations

from xibench.cli.options import Json, print_json


def doctor(as_json: Json = False) -> None:
    """Can this machine measure, and what will be skipped?

    Frameworks, devices and disturbing conditions; for whatever lacks, what comes of it and the cure.

    \b
    Example:  xibench doctor
    """
    from xibench.cli.examination import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    from xibench.cli import format

    for table in format.examination_tables(found):
        format.show(table)
