"""What the measuring commands share: start or resume a run file, print a plan, refuse conflicting options."""

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
"""The options that are allowed beside --resume."""


def measure(new: NewRun, file: RunFileOptions) -> Path:
    """Measure a new run and return the path of its run file."""
    from xibench.cli.render.progress import showing_progress
    from xibench.run import execute, start

    with (
        showing_progress() as watch,
        start.start(new.cases, new.sampling, new.preset, command_line(), file.out) as run_file,
    ):
        execute.run(run_file.pending(), run_file, watch, calibrate=not file.no_ceilings)
    return run_file.path


def measure_pending(resume: Path, file: RunFileOptions) -> Path:
    """Measure what a run file's plan still needs and return the file's path."""
    from xibench.cli.render.progress import showing_progress
    from xibench.run import execute, start

    with showing_progress() as watch, start.resume(resume, watch) as run_file:
        execute.run(run_file.pending(), run_file, watch, calibrate=not file.no_ceilings)
    return run_file.path


def print_plan(new: NewRun, as_json: bool) -> None:
    """Print the planned cases and what a step of each costs."""
    from xibench.run.ceilings import costs

    rows = [(case, costs(case)) for case in new.cases]
    if as_json:
        print_json({"rule": new.sampling, "plan": [{"case": case, "costs": cost} for case, cost in rows]})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.run_tables import plan_table

    terminal.show(plan_table(rows, new.sampling))


def refuse_beside_resume(context: typer.Context, allowed: Sequence[str] = WITH_RESUME, what: str = "file") -> None:
    """Raise UsageError if --resume is combined with options that would change the plan of its file or folder."""
    refuse_others(context, allowed, f"--resume continues with the plan of its {what}: received")


def refuse_others(context: typer.Context, allowed: Sequence[str], because: str) -> None:
    """Raise UsageError if options other than the allowed ones were typed. because: the beginning of its message."""
    given = [name for name in context.params if name not in allowed and _typed(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(
            f"{because} {options} as well, expected no further option; leave {'it' if len(given) == 1 else 'them'} out"
        )


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
