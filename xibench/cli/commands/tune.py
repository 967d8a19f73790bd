"""`xibench tune`: search for the fastest recipe on this machine and write it to a recipe file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from xibench.cli.options import (
    Json,
    Names,
    Numbers,
    Only,
    SelectionOptions,
    expand_options,
    list_option,
    positive_seconds,
    print_json,
    whole_number,
)
from xibench.cli.planning import plan_search, refuse_beside_resume
from xibench.record.files import saying_if_interrupted
from xibench.record.text import shell_word

if TYPE_CHECKING:
    from xibench.analysis.tuning import SearchResult
    from xibench.analysis.tuning_folder import SearchPlan, TuningFolder

WITH_RESUME: Final = ("resume", "budget", "out", "as_json")
"""Options that are allowed beside --resume."""


SearchedChoices = Annotated[
    Names,
    list_option("--choice", metavar="NAME", help_text="Choices to search.  [default: all that apply on the device]"),
]
SearchBudget = Annotated[
    float | None,
    typer.Option(
        "--budget", parser=positive_seconds, metavar="S",
        help="Seconds after which no further choice is tried; the final comparison follows.  [default: 1200]",
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TuneOptions(SelectionOptions):
    """The options that other commands share, with another meaning of several batches."""

    batch: Annotated[
        Numbers,
        list_option(
            "--batch", metavar="N", item=whole_number,
            help_text="Images per step; if there are several, tune for the first, then try all.  [default: 8]",
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
    choice: SearchedChoices = None,
    chosen: Annotated[
        TuneOptions, Only("precision", "batch", "resolution", "device", "images", "weights", "seed")
    ],
    budget: SearchBudget = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Recipe file to write.  [default: recipe.json in the folder]"),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="Folder for the search's run files.  [default: a new one in results/tune]"
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Resume the search in a folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the choices and values; measure nothing.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Search for the fastest recipe of a case on this machine and write it to a file.

    Tries the choices one after another, each value against the best recipe so far, in two fresh processes each. Finally
    compares the result with `default` and `tuned` in five fresh processes each and writes the fastest of the three.
    Recipes whose outputs differ are rejected. Use the file with `xibench run --recipe FILE`.

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
    with saying_if_interrupted(f"`{opened.resume_command}` ends the search"):
        write_result(opened, found, out, as_json)


def print_task(task: SearchPlan, as_json: bool) -> None:
    """Print the case, the choices with their values, and further batches."""
    if as_json:
        print_json({"case": task.case, "choices": task.choices, "batches": task.batches})
        return
    print(task.case.key)
    for name, values in task.choices.items():
        print(f"  {name}: {', '.join(values)}")
    if task.batches:
        print(f"  batch, with the best recipe: {', '.join(map(str, task.batches))}")


def write_result(folder: TuningFolder, found: SearchResult, out: Path | None, as_json: bool) -> None:
    """Write the recipe file of a search and print the result."""
    path, recipe = folder.write_recipe(found, out)
    if as_json:
        stages = [{"name": s.stage.name, "best": s.best.key, "compared": s.compared} for s in found.stages]
        print_json({"file": str(path), "found": recipe, "left_out": found.left_out, "stages": stages})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.tune_tables import found_lines, search_table

    terminal.show(search_table(found))
    for line in found_lines(found, recipe):
        terminal.say(line)
    best = found.best
    command = f"xibench run -f {best.framework} -m {best.model} --recipe {shell_word(str(path))}"
    print(file=sys.stderr)
    for line in (f"Recipe file:  {path}", f"Measure it:   {command}", f"Run files:    {folder.path}"):
        terminal.say(line, sys.stderr)
