"""`xibench run`: measure cases, each in fresh processes, and write a run file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from xibench.cli.options import Json, RunFileOptions, SamplingOptions, SelectionOptions, expand_options, print_json
from xibench.cli.planning import measure, measure_pending, plan_run, print_plan, refuse_beside_resume
from xibench.errors import XibenchError, saying_if_interrupted


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
    """
    if file.resume is not None:
        refuse_beside_resume(context)
        print_result(measure_pending(file.resume, file), as_json)
        return
    new = plan_run(preset, selection, sampling)
    if file.dry_run:
        print_plan(new, as_json)
        return
    print_result(measure(new, file), as_json)


def print_result(path: Path, as_json: bool) -> None:
    """Print the figures of a run file and the next commands. Raises XibenchError if no case could be measured."""
    quoted = shlex.quote(str(path))
    with saying_if_interrupted(f"the run is complete: `xibench show {quoted}` prints its figures"):
        from xibench.cli.commands.show import document
        from xibench.cli.render.run_tables import print_run
        from xibench.record import format
        from xibench.record.store import read

        stored = read(path)
        print_run(path, stored, to_stderr=as_json)
        print(
            f"\nRun file:  {path}\nCharts:    xibench report {quoted}\n"
            f"As table:  xibench export {quoted} --out run.csv",
            file=sys.stderr,
        )
        if as_json:
            print_json(document(path, stored))
    if not any(record.status == "ok" for record in stored.records):
        raise XibenchError(
            f"none of {format.counted(len(stored.records), 'case')} could be measured: the reasons are above; "
            "`xibench doctor` checks this machine"
        )
