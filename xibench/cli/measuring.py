"""What commands that measure share: a run file measured, anew or further, a plan printed, and options that exclude
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xibench.cli.options import RunFileOptions, print_json
from xibench.cli.planning import command_line
from xibench.errors import UsageError

if TYPE_CHECKING:
    import typer

    from xibench.cli.planning import NewRun

WITH_RESUME: Final = ("resume", "as_json", "no_ceilings")
"""The options that do not change a run file's plan."""


def measure(new: NewRun, file: RunFileOptions) -> Path:
    """Measures a new run into a file; returns its path."""
    from xibench.cli.render.progress import showing_progress
    from xibench.run import execute, start

    with (
        showing_progress() as watch,
        start.start(new.cases, new.sampling, new.preset, command_line(), file.out) as run_file,
    ):
        execute.run(run_file.pending(), run_file, watch, calibrate=not file.no_ceilings)
    return run_file.path


def measure_pending(resume: Path, file: RunFileOptions) -> Path:
    """Measures what is still missing of a run file's own plan; returns its path."""
    from xibench.cli.render.progress import showing_progress
    from xibench.run import execute, start

    with showing_progress() as watch, start.resume(resume, watch) as run_file:
        execute.run(run_file.pending(), run_file, watch, calibrate=not file.no_ceilings)
    return run_file.path


def print_plan(new: NewRun, as_json: bool) -> None:
    """What would be measured, with what a step of each case costs."""
    from xibench.run.case_costs import costs

    rows = [(case, costs(case)) for case in new.cases]
    if as_json:
        print_json({"rule": new.sampling, "plan": [{"case": case, "costs": cost} for case, cost in rows]})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.run_tables import plan_table

    terminal.show(plan_table(rows, new.sampling))


def refuse_beside_resume(context: typer.Context, allowed: Sequence[str] = WITH_RESUME, what: str = "file") -> None:
    """Raises UsageError if a run file's or a search folder's plan is to be both resumed and changed."""
    refuse_others(context, allowed, f"--resume goes on with the plan of its {what}: received")


def refuse_others(context: typer.Context, allowed: Sequence[str], because: str) -> None:
    """Raises UsageError if other options were typed than the allowed ones. because: the line's beginning."""
    given = [name for name in context.params if name not in allowed and _typed(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"{because} {options} too, expected nothing else")


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
