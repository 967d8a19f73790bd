"""`xibench paper`: what the Xception paper states, beside what this program counts and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xibench.cli.options import Json, print_json, run_path
from xibench.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from xibench.analysis.paper import PaperTable, Speed


def paper(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A run file to set beside Table 3, or `latest`.")
    ] = "latest",
    as_json: Json = False,
) -> None:
    """What the Xception paper states, beside what is counted and measured here.

    Its Tables 1 to 3 with their sources; parameters as this program counts them; Table 3's ratio of speeds beside the
    ratio that a run measured, per framework. The paper's ratio is of training on 60 K80, a run's of what it ran.

    \b
    Example:  xibench paper
              xibench paper results/reference/amd-epyc-avx2-2c/quick.jsonl
    """
    from xibench.analysis.paper import SPEED_RATIO, TABLES

    path, found = _speeds(run)
    if as_json:
        print_json({
            "tables": [_document(table) for table in TABLES],
            "speed_ratio": {"stated": SPEED_RATIO, "file": path and str(path), "measured": found},
        })  # fmt: skip
        return
    from xibench.cli.render import terminal

    for table in TABLES:
        terminal.show(_table(table))
    if path is None:
        print("No run here to set beside Table 3: `xibench run` measures one.")
    elif not found:
        print(f"{path} has no framework that was measured on both networks: nothing to set beside Table 3.")
    else:
        terminal.show(_speed_table(found))
        print(f"Measured in {path}. By work: the ratio if both ran as many multiply-adds per second.")
        print("Inception V3 here is the released network (inception_v3/default), not the edition of Table 3's row.")
    sources = dict.fromkeys(f"{s.name}, {s.address}" for table in TABLES for s in (table.source, *table.also))
    print(f"Stated in: {'; '.join(sources)}")


def _speeds(run: str) -> tuple[Path | None, list[Speed]]:
    """The run file and its ratios; without any run where the newest was meant, neither."""
    from xibench.analysis.paper import speeds
    from xibench.record.store import read

    try:
        path = run_path(run)
    except StoreError:
        if run != "latest":
            raise
        return None, []
    return path, speeds(read(path))


def _document(table: PaperTable) -> dict[str, Any]:
    from xibench.analysis.paper import counted

    return {
        "number": table.number, "title": table.title, "conditions": table.conditions,
        "sources": [{"name": s.name, "address": s.address} for s in (table.source, *table.also)],
        "rows": [
            {
                "network": row.network, "model": row.model, "variant": row.variant, "note": row.note,
                "stated": {name: value for (name, *_), value in zip(table.columns, row.values, strict=True)},
                "parameters_counted": counted(row.model, row.variant),
            }
            for row in table.rows
        ],
    }  # fmt: skip


def _table(table: PaperTable) -> Table:
    from xibench.analysis.paper import counted
    from xibench.cli.render.terminal import table_of

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


def _speed_table(found: list[Speed]) -> Table:
    from xibench.cli.render.terminal import table_of
    from xibench.record.format import NONE

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
