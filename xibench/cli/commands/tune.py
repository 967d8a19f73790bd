"""`xibench tune`: a search over a recipe's open choices, which writes a recipe file."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from xibench.cli.expand import Only, expand_options
from xibench.cli.measuring import refuse_beside_resume
from xibench.cli.options import Json, Names, Numbers, SelectionOptions, print_json
from xibench.cli.parsers import list_option, positive_seconds, whole_number
from xibench.cli.planning import plan_search

if TYPE_CHECKING:
    from xibench.analysis.tuning import SearchResult
    from xibench.analysis.tuning_folder import SearchPlan, TuningFolder

WITH_RESUME: Final = ("resume", "budget", "out", "as_json")
"""The options that do not change what is searched."""


@dataclass(frozen=True, kw_only=True)
class TuneOptions(SelectionOptions):
    """As of other commands, but for what several batches mean."""

    batch: Annotated[
        Numbers,
        list_option(
            "--batch", metavar="N", item=whole_number,
            help_text="Images per step; of several the first is tuned for, then all are tried.",
        ),
    ] = None  # fmt: skip


@expand_options
def tune(
    context: typer.Context,
    case: Annotated[
        str | None,
        typer.Argument(metavar="[CASE]", help="FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT, such as jax/xception."),
    ] = None,
    *,
    choice: Annotated[
        Names,
        list_option(
            "--choice", metavar="NAME", help_text="What is searched; all that the device leaves open if left out."
        ),
    ] = None,
    chosen: Annotated[
        TuneOptions, Only("precision", "batch", "resolution", "device", "images", "weights", "seed")
    ],
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", parser=positive_seconds, metavar="S",
            help="Seconds after which no choice is begun any more; confirming follows.  [default: 1200]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The recipe file.  [default: recipe.json in the folder]"),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="Where the search is kept.  [default: a new one in results/tune]"
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the search in a folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be searched.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Search a recipe's open choices for the fastest one on this machine, and write it to a file.

    One choice after another, each value beside the best so far, two fresh processes each. At the end what was found is
    measured beside `default` and `tuned` in five fresh processes each; the fastest of those three is written. A recipe
    that computes something else is not timed. Pass the file to `xibench run --recipe`.

    \b
    Example:  xibench tune jax/xception
              xibench tune pytorch/inception_v3 --batch 8,16,32 --choice compiler,threads --budget 600
              xibench run -f jax -m xception --recipe results/tune/NAME/recipe.json
    """
    from xibench.analysis.tuning_folder import TuningFolder
    from xibench.cli.render.progress import showing_progress

    if resume is not None:
        refuse_beside_resume(context, WITH_RESUME, "folder")
        with showing_progress() as watch:
            opened = TuningFolder.resume(resume, budget, watch)
            found = opened.search()
    else:
        task = plan_search(case, chosen, choice, budget)
        if dry_run:
            print_task(task, as_json)
            return
        with showing_progress() as watch:
            opened = TuningFolder.create(folder, task, watch)
            found = opened.search()
    write_result(opened, found, out, as_json)


def print_task(task: SearchPlan, as_json: bool) -> None:
    """What would be searched."""
    if as_json:
        print_json({"case": task.case, "choices": task.choices, "batches": task.batches})
        return
    print(task.case.key)
    for name, values in task.choices.items():
        print(f"  {name}: {', '.join(values)}")
    if task.batches:
        print(f"  batch, with what was found: {', '.join(map(str, task.batches))}")


def write_result(folder: TuningFolder, found: SearchResult, out: Path | None, as_json: bool) -> None:
    """Writes the recipe file of a search and prints what was found."""
    path, recipe = folder.write_recipe(found, out)
    if as_json:
        stages = [{"name": s.stage.name, "best": s.best.key, "compared": s.compared} for s in found.stages]
        print_json({"file": str(path), "found": recipe, "left_out": found.left_out, "stages": stages})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tune_tables import found_lines, search_table

    terminal.show(search_table(found))
    for line in found_lines(found, recipe):
        print(line)
    command = shlex.join(["xibench", "run", "-f", found.best.framework, "-m", found.best.model, "--recipe", str(path)])
    print(f"\nRecipe file:  {path}\nMeasure it:   {command}\nRun files:    {folder.path}", file=sys.stderr)
