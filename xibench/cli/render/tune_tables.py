"""The table and text of a search by `xibench tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import find
from xibench.analysis.tuning import MARGIN
from xibench.cli.render.terminal import Table, table_of
from xibench.record.format import NONE, figures, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xibench.analysis.tuning import Candidate, SearchResult, StageResult
    from xibench.record.recipe_file import RecipeFile

COLUMNS: Final = ("stage", "tried", "times as fast as\nthe best before", "taken", "status")


def search_table(found: SearchResult) -> Table:
    """Build the table of a search, a row per candidate, by stage."""
    case = found.best
    title = f"{case.framework} {case.model} {case.precision}, batch {case.batch}, {case.resolution} px, {case.device}"
    rows = [row for result in found.stages for row in _rows(result)]
    return table_of(title, COLUMNS, rows, right=COLUMNS[2:3])


def found_lines(found: SearchResult, written: RecipeFile) -> Iterator[str]:
    """Yield the lines that describe the recipe that was found: its name, gains and settings."""
    framework = find(written.framework)
    yield f"\nFound: {written.recipe}" + (f" at batch {written.batch}" if written.batch else "")
    for name in ("tuned", "default"):
        if written.recipe == framework.written(framework.recipe(name, written.case.device).choices):
            yield f"  which is what `{name}` chooses on this device"
    for gain in written.gains:
        between = "" if gain.low is None or gain.high is None else f" [{figures(gain.low)}, {figures(gain.high)}]"
        yield f"  x {figures(gain.ratio)}{between} as fast as {gain.over}, {gain.processes} fresh processes each"
    for setting, reason in framework.recipe(written.recipe, written.case.device).settings:
        yield f"  {setting}: {reason}"
    yield (
        f"A value is adopted if it was at least {percent(MARGIN)} faster in two processes. Intervals: 95 %, over "
        "the processes of stage confirm."
    )
    if found.left_out:
        yield f"Not tried, or not tried again, because the budget was spent: {', '.join(found.left_out)}"


def _rows(step: StageResult) -> Iterator[tuple[str, ...]]:
    for compared in step.compared:
        yield (
            step.stage.name, _tried(step, compared), NONE if compared.ratio is None else figures(compared.ratio),
            "yes" if compared.case == step.best else "", compared.reason or compared.status,
        )  # fmt: skip


def _tried(step: StageResult, compared: Candidate) -> str:
    """Return what a stage varies: the batch, the whole recipe, or the value of a choice."""
    case, name = compared.case, step.stage.name
    if name == "batch":
        return f"batch {case.batch}"
    if name in ("start", "confirm"):
        return case.recipe
    return f"{name}={find(case.framework).recipe(case.recipe, case.device).choices[name]}"
