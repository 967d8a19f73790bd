"""Render tables as text."""

from __future__ import annotations

import io

from xibench.cli.render.terminal import Table, show


def rendered(table: Table, width: int = 160) -> str:
    """Return a table as printed in a terminal of `width` characters."""
    output = io.StringIO()
    show(table, output, width)
    return output.getvalue()
