"""`xibench tune`: a search over a recipe's open choices, which writes a recipe file."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from frameworks.errors import UnknownName
from xibench.cli import run_options as option
from xibench.cli.measuring import only_given, refuse_others
from xibench.cli.options import Json, positive_seconds, print_json, split, whole_numbers
from xibench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xibench.analysis.search_folder import Folder
    from xibench.analysis.tuning import Search
    from xibench.measure.comparing import Ratio
    from xibench.record.recipe_file import Gain, RecipeFile
    from xibench.record.schema import Case

FOLDERS: Final = Path("results/tune")
BUDGET_S: Final = 1200.0
WITH_RESUME: Final = ("resume", "budget", "out", "as_json")

Subject = Annotated[
    str | None,
    typer.Argument(metavar="[CASE]", help="FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT, such as jax/xception."),
]
Choices = Annotated[
    option.Names,
    typer.Option("--choice", metavar="NAME", help="What is searched; all that the device leaves open if left out."),
]
Batches = Annotated[
    option.Names,
    typer.Option(
        "--batch", metavar="N", help="Images per step; of several the first is tuned for, then all are tried."
    ),
]  # fmt: skip
SearchBudget = Annotated[
    float | None,
    typer.Option(
        "--budget", parser=positive_seconds, metavar="S",
        help="Seconds after which no choice is begun any more; confirming follows.  [default: 1200]",
    ),
]  # fmt: skip
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="The recipe file.  [default: recipe.json in the folder]")
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Where the search is kept.  [default: a new one in results/tune]"),
]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the search in a folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be searched.")]


def tune(
    context: typer.Context,
    case: Subject = None,
    choice: Choices = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help=option.PRECISION_HELP)] = None,
    batch: Batches = None,
    resolution: option.Resolutions = None,
    device: option.Device = None,
    images: option.Images = None,
    weights: option.Weights = None,
    seed: option.Seed = None,
    budget: SearchBudget = None,
    out: Out = None,
    folder: FolderOption = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Search a recipe's open choices for the fastest one on this machine, and write it to a file.

    One choice after another, each value beside the best so far, two fresh processes each. At the end what was found is
    measured beside `default` and `tuned` in five fresh processes each; the fastest of those three is written. A recipe
    that computes something else is not timed. Pass the file to `xibench run --recipe`.

    \b
    Example:  xibench tune jax/xception
              xibench tune pytorch/inception_v3 --batch 8,16,32 --choice compiler,threads --budget 600
              xibench run -f jax -m xception --recipe results/tune/NAME/recipe.json
    """
    from xibench.analysis.search_folder import Folder, Task
    from xibench.cli.render.progress import watching

    if resume is not None:
        refuse_others(context, WITH_RESUME, "--resume goes on with the search of its folder: received")
        with watching() as watch:
            opened = Folder.resume(resume, budget, watch)
            found = _search(opened)
        _tell(opened, found, out, as_json)
        return
    planned, batches = _case(case, {
        "precisions": split([precision] if precision else None, "--precision"), "device": device, "images": images,
        "resolutions": whole_numbers(resolution, "--resolution"), "weights": weights, "seed": seed,
    }, whole_numbers(batch, "--batch"))  # fmt: skip
    choices = _choices(planned, split(choice, "--choice"))
    if dry_run:
        _print_plan(planned, choices, batches, as_json)
        return
    task = Task(
        case=planned, choices={name: list(values) for name, values in choices.items()}, batches=list(batches),
        budget_s=BUDGET_S if budget is None else budget, command=shlex.join(["xibench", *sys.argv[1:]]),
    )  # fmt: skip
    with watching() as watch:
        opened = Folder.create(folder or FOLDERS / _name(planned), task, watch)
        found = _search(opened)
    _tell(opened, found, out, as_json)


def _search(folder: Folder) -> Search:
    from xibench.analysis.tuning import search

    task = folder.task
    return search(task.case, task.choices, task.batches, folder.take, folder.spent)


def _case(subject: str | None, options: Mapping[str, Any], batches: tuple[int, ...]) -> tuple[Case, tuple[int, ...]]:
    """The case that is tuned for, and the batches that are tried afterwards."""
    from frameworks.architectures import OPERATORS
    from frameworks.runtime import FRAMEWORKS
    from xibench.run import plan

    parts = (subject or "").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        forms = "FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT, such as jax/xception"
        raise UsageError(f"CASE: received {subject or 'none'}, expected {forms}")
    framework, model, *variant = parts
    if framework not in FRAMEWORKS:  # a contender's recipes are not ours to change
        raise UnknownName("framework", framework, FRAMEWORKS)
    resolutions = options["resolutions"]
    if len(resolutions) > 1:
        raise UsageError(f"--resolution: received {', '.join(map(str, resolutions))}, expected one")
    size = batches[:1] or ((1,) if model in OPERATORS else None)
    chosen = replace(
        plan.Selection(frameworks=(framework,), models=(model,), variants=tuple(variant) or ("default",), batches=size),
        **only_given(options),
    )
    (found,) = plan.cases(chosen)
    return found, batches if len(batches) > 1 else ()


def _choices(case: Case, asked: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    from frameworks.runtime import usable_cores
    from xibench.analysis.tuning import default_choices

    known = default_choices(case, usable_cores())
    for name in asked:
        if name not in known:
            raise UnknownName(f"choice of a recipe in {case.framework} on {case.device}", name, known)
    return {name: values for name, values in known.items() if not asked or name in asked}


def _name(case: Case) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{case.framework}-{case.model}-{case.precision}-b{case.batch}"


def _print_plan(case: Case, choices: Mapping[str, tuple[str, ...]], batches: tuple[int, ...], as_json: bool) -> None:
    if as_json:
        print_json({"case": case, "choices": choices, "batches": batches})
        return
    print(case.key)
    for name, values in choices.items():
        print(f"  {name}: {', '.join(values)}")
    if batches:
        print(f"  batch, with what was found: {', '.join(map(str, batches))}")


def _tell(folder: Folder, found: Search, out: Path | None, as_json: bool) -> None:
    from xibench.cli.render.tune_tables import found_lines, search_table
    from xibench.record import recipe_file

    written = _recipe_file(folder, found)
    path = out or folder.path / "recipe.json"
    recipe_file.write(path, written)
    if as_json:
        stages = [{"name": s.stage.name, "best": s.best.key, "compared": s.compared} for s in found.steps]
        print_json({"file": str(path), "found": written, "left_out": found.left_out, "stages": stages})
        return
    from xibench.cli.render import terminal

    terminal.show(search_table(found))
    for line in found_lines(found, written):
        print(line)
    case = found.best
    command = shlex.join(["xibench", "run", "-f", case.framework, "-m", case.model, "--recipe", str(path)])
    print(f"\nRecipe file:  {path}\nMeasure it:   {command}\nRun files:    {folder.path}", file=sys.stderr)


def _recipe_file(folder: Folder, found: Search) -> RecipeFile:
    from xibench import __version__
    from xibench.record import recipe_file
    from xibench.record.store import read

    files = [folder.file(number, step.stage) for number, step in enumerate(found.steps)]
    header = read(files[-1]).header
    return recipe_file.RecipeFile(
        format=recipe_file.FORMAT, xibench=__version__, created_utc=header.created_utc, framework=found.best.framework,
        recipe=found.best.recipe, case=found.best, machine=header.environment.machine,
        environment=header.environment_hash, batch=found.best.batch if folder.task.batches else None,
        gains=[_gain(name, ratio) for name, ratio in found.gains.items()], runs=[file.name for file in files],
    )  # fmt: skip


def _gain(over: str, ratio: Ratio) -> Gain:
    from xibench.record.recipe_file import Gain

    return Gain(over=over, ratio=ratio.ratio, low=ratio.low, high=ratio.high, processes=ratio.n)
