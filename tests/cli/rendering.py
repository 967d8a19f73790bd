"""Tables as text."""

from __future__ import annotations

import io

from rich.table import Table

from xibench.cli.render.terminal import show


def rendered(table: Table, width: int = 160) -> str:
    """The table as printed in a terminal of this width."""
    output = io.StringIO()
    show(table, output, width)
    return output.getvalue()
