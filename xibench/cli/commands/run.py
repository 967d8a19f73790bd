"""`xibench run`: measure cases, each in fresh processes, and write a run file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from xibench.cli.options import (
    Json,
    RunFileOptions,
    SamplingOptions,
    SelectionOptions,
    expand_options,
    print_json,
    run_path,
)
from xibench.cli.planning import (
    measure,
    plan_again,
    plan_run,
    print_plan,
    refuse_beside_resume,
    refuse_others,
)
from xibench.errors import XibenchError
from xibench.record.files import saying_if_interrupted
from xibench.record.text import shell_word

if TYPE_CHECKING:
    from xibench.record.comparison import Comparison
    from xibench.record.store import Run

WITH_AGAIN: Final = (
    "framework", "model", "operator", "variant", "scenario", "recipe", "precision", "batch", "resolution",
    *SamplingOptions.__dataclass_fields__, *RunFileOptions.__dataclass_fields__, "again", "as_json",
)  # fmt: skip


@expand_options
def run(
    context: typer.Context,
    *,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="A named set of cases: quick or nightly; other options replace its parts.",
        ),
    ] = None,
    again: Annotated[
        str | None,
        typer.Option(
            "--again",
            metavar="RUN",
            help="Measure the cases of a run file, or of `latest`, once more, or those of them that options name, and "
            "compare.",
        ),
    ] = None,
    selection: SelectionOptions,
    sampling: SamplingOptions,
    file: RunFileOptions,
    as_json: Json = False,
) -> None:
    """Measure networks: throughput, latency, memory and energy, each case in fresh processes.

    Every combination of the options is a case. A process's measurements are written to the run file as soon as it has
    ended, and --resume continues a run that was interrupted. Exit code 1 if no case could be measured.

    \b
    Example:  xibench run --preset quick
              xibench run -f pytorch,jax -m xception --batch 1,8 --recipe tuned --processes 3
              xibench run -m xception --variant segments_4,no_residual
              xibench run --operator grouped,separable --variant middle_728_728 --batch 1
              xibench run -m xception --scenario server --latency-bound 0.5
              xibench run --again results/runs/monday.jsonl -f jax -m xception
    """
    if file.resume is not None:
        refuse_beside_resume(context)
        print_result(measure(file.resume, file), as_json)
        return
    earlier = None if again is None else run_path(again)
    if earlier is not None:
        refuse_others(context, WITH_AGAIN, "--again measures the cases of its file: received")
    new = plan_run(preset, selection, sampling) if earlier is None else plan_again(earlier, selection, sampling)
    if file.dry_run:
        print_plan(new, as_json)
        return
    print_result(measure(new, file), as_json, earlier)


def print_result(path: Path, as_json: bool, again: Path | None = None) -> None:
    """Print the figures of a run file and the next commands.

    Args:
        path: The run file.
        as_json: Whether stdout gets one JSON document and nothing else.
        again: The run file whose cases were measured once more, and with which they are compared.

    Raises:
        XibenchError: No case could be measured.
    """
    quoted = shell_word(str(path))
    with saying_if_interrupted(f"the run is complete: `xibench show {quoted}` prints its figures"):
        from xibench.cli.commands.show import document
        from xibench.cli.render import comparison_tables, terminal
        from xibench.cli.render.run_tables import print_run
        from xibench.record import format
        from xibench.record.store import read

        stored = read(path)
        print_run(path, stored, to_stderr=as_json)
        print(file=sys.stderr)
        for line in (
            f"Run file:  {path}", f"Charts:    xibench report {quoted}",
            f"As table:  xibench export {quoted} --out run.csv",
        ):  # fmt: skip
            terminal.say(line, sys.stderr)
        same = {} if again is None else {"comparison": _with_the_earlier(again, stored)}
        if as_json:
            print_json(document(path, stored) | same)
        elif same:
            comparison_tables.show(same["comparison"], as_json=False, as_markdown=False, names=(str(again), str(path)))
    if stored.attempts and not any(record.status == "ok" for record in stored.records):
        raise XibenchError(
            f"none of {format.counted(len(stored.records), 'case')} could be measured: the reasons are above; "
            "`xibench doctor` checks this machine"
        )


def _with_the_earlier(again: Path, new: Run) -> Comparison:
    """Compare a run with the earlier one whose cases it measured again, also where the machine differs."""
    from xibench.record.comparison import compare
    from xibench.record.store import read

    found = compare(read(again), new, allow_unlike=True)
    ours = [refused for refused in found.not_compared if refused.case in new.header.plan]
    return msgspec.structs.replace(found, not_compared=ours)
