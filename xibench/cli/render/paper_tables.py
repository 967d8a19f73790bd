"""The tables of `xibench paper`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xibench.analysis.paper import counted
from xibench.cli.render.terminal import Table, table_of
from xibench.record.format import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xibench.analysis.paper import PaperTable, Speed


def paper_table(table: PaperTable) -> Table:
    """Build a table of the paper with the parameters that xibench counts."""
    stated = [f"{name}\n({unit})" if unit else name for name, unit, _ in table.columns]
    rows = [
        (row.network, *(f"{v:,.{places}f}" for v, (*_, places) in zip(row.values, table.columns, strict=True)),
         f"{counted(row.model, row.variant):,}",
         f"{row.model}/{row.variant}", row.note)
        for row in table.rows
    ]
    columns = ("network", *stated, "parameters\ncounted here", "is here", "note")
    title = f"Table {table.number}: {table.title} ({table.conditions})"
    return table_of(title, columns, rows, right=columns[1 : len(stated) + 2])


def speed_table(found: Sequence[Speed]) -> Table:
    """Build the table of speed ratios, measured and from the paper, a row per framework and recipe."""
    rows = []
    for speed in found:
        ratio, case = speed.measured, speed.case
        bounds = NONE if ratio.low is None or ratio.high is None else f"[{ratio.low:.3f}, {ratio.high:.3f}]"
        rows.append((
            case.framework, case.recipe, case.precision, str(case.batch), str(case.resolution), case.device, case.task,
            f"{ratio.ratio:.3f}", bounds, str(ratio.n), f"{speed.by_work:.3f}", f"{speed.stated:.3f}",
        ))  # fmt: skip
    columns = (
        "framework", "recipe", "precision", "batch", "px", "device", "task", "measured", "[95 %]", "processes",
        "by work", "paper, training",
    )  # fmt: skip
    right = ("batch", "px", *columns[7:])
    return table_of("Xception's images per second over Inception V3's", columns, rows, right=right)
