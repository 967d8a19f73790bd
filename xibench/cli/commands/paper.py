"""`xibench paper`: the Xception paper's tables beside xibench's own counts and measurements."""

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
        str, typer.Argument(metavar="[RUN]", help="The run to compare with Table 3: a run file, or `latest`.")
    ] = "latest",
    as_json: Json = False,
) -> None:
    """Show the Xception paper's tables beside xibench's own counts and measurements.

    Tables 1 to 3 with their sources, the parameters as xibench counts them, and Table 3's speed ratio of Xception and
    Inception V3 beside the ratio that a run measured, per framework. The paper's ratio is of training on 60 K80 GPUs,
    a run's of inference.

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
        print("There is no run to compare with Table 3: `xibench run --preset quick` measures one.")
    elif not found:
        nothing = "no framework has a ranked figure on both networks, so nothing can be compared with Table 3"
        terminal.say(f"{path}: {nothing}.")
    else:
        terminal.show(speed_table(found))
        terminal.say(f"Measured in {path}. By work: the ratio if both ran the same number of multiply-adds per second.")
        print("Inception V3 here is the released network (inception_v3/default), not the version in Table 3.")
    sources = dict.fromkeys(f"{s.name}, {s.address}" for table in TABLES for s in (table.source, *table.also))
    print(f"Sources: {'; '.join(sources)}")


def _speeds(run: str) -> tuple[Path | None, list[Speed]]:
    """Return the run file and its speed ratios, or (None, []) if the newest run is requested and there is none."""
    from xibench.analysis.paper import speeds
    from xibench.record.store import read

    try:
        path = run_path(run)
    except StoreError:
        if run != "latest":
            raise
        return None, []
    return path, speeds(read(path))
