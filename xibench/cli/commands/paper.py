"""`xibench paper`: what the Xception paper states, beside what this program counts and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xibench.cli.options import Json, print_json, run_path
from xibench.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from xibench.analysis.paper import Speed


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
    from xibench.analysis.paper import SPEED_RATIO, TABLES, document

    path, found = _speeds(run)
    if as_json:
        print_json({
            "tables": [document(table) for table in TABLES],
            "speed_ratio": {"stated": SPEED_RATIO, "file": path and str(path), "measured": found},
        })  # fmt: skip
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.paper_tables import paper_table, speed_table

    for table in TABLES:
        terminal.show(paper_table(table))
    if path is None:
        print("No run here to set beside Table 3: `xibench run` measures one.")
    elif not found:
        print(f"{path} has no framework that was measured on both networks: nothing to set beside Table 3.")
    else:
        terminal.show(speed_table(found))
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
