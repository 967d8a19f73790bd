"""`xibench spectrum`: Xception from regular to depthwise convolution, measured against the number of segments."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from xibench.cli.options import (
    Json,
    Names,
    Numbers,
    Only,
    RunFileOptions,
    SamplingOptions,
    SelectionOptions,
    expand_options,
    list_option,
    positive_seconds,
    print_json,
    run_path,
    segments_or_c,
    whole_number,
)
from xibench.cli.planning import (
    NewRun,
    measure,
    print_plan,
    refuse_beside_resume,
    refuse_others,
    sampling,
    selection,
)
from xibench.errors import XibenchError
from xibench.record.files import saying_if_interrupted
from xibench.record.text import shell_word


@dataclass(frozen=True, kw_only=True)
class SpectrumOptions(SelectionOptions):
    """The options that other commands share, with the default recipe tuned."""

    recipe: Annotated[
        Names,
        list_option(
            "--recipe", metavar="NAME",
            help_text="Execution settings: default, compiled, tuned, or a recipe file of `xibench tune`.  "
            "[default: tuned]",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpectrumSampling(SamplingOptions):
    """The options that other commands share, with the defaults of `xibench.analysis.spectrum.SAMPLING`."""

    processes: Annotated[
        int | None,
        typer.Option(
            parser=whole_number, metavar="N", help="Fresh processes per case, interleaved with those of other cases.  "
            "[default: 3]",
        ),
    ] = None  # fmt: skip
    budget: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help="Seconds after which no further step is timed, once 3 steps are done.  [default: 5]",
        ),
    ] = None  # fmt: skip


@expand_options
def spectrum(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Show this run's curves instead of measuring: a run file, or `latest`."),
    ] = None,
    *,
    segments: Annotated[
        Numbers,
        list_option(
            "--segments", metavar="N", item=segments_or_c,
            help_text="Numbers of segments; C is one segment per channel.  [default: 1,2,3,4,8,C]",
        ),
    ] = None,
    widths: Annotated[
        Names,
        list_option(
            "--widths", metavar="WAY",
            help_text="paper: the published widths; equal: narrowed to as many parameters as C.  [default: both]",
        ),
    ] = None,
    chosen: Annotated[
        SpectrumOptions, Only("framework", "recipe", "precision", "batch", "resolution", "device", "images")
    ],
    sampled: Annotated[SpectrumSampling, Only("processes", "budget")],
    file: RunFileOptions,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Measure Xception from regular to depthwise convolution, along the number of segments (groups).

    Shows throughput, latency, memory, parameters, multiply-adds and the attained fraction of the roofline, at the
    paper's widths and at equal parameter counts, and where each framework's grouped convolution loses efficiency. Exit
    code 1 if no curve could be measured.

    \b
    Example:  xibench spectrum --dry-run
              xibench spectrum -f pytorch --recipe tuned --segments 1,4,C --batch 8
              xibench spectrum latest
    """
    if run is not None:
        refuse_others(context, ("run", "as_json"), "RUN shows a stored run and measures nothing: received")
        print_curves(run_path(run), as_json)
        return
    if file.resume is not None:
        refuse_beside_resume(context)
        print_curves(measure(file.resume, file), as_json)
        return
    from xibench.analysis.spectrum import SAMPLING, plan_spectrum
    from xibench.run.plan import Selection

    cases = plan_spectrum(selection(chosen, Selection(recipes=("tuned",))), widths, segments)
    new = NewRun(cases, sampling(sampled, SAMPLING))
    if file.dry_run:
        print_plan(new, as_json)
        return
    print_curves(measure(new, file), as_json)


def print_curves(path: Path, as_json: bool) -> None:
    """Print the curves of a run file and their summary. Raises XibenchError if it has none."""
    quoted = shell_word(str(path))
    with saying_if_interrupted(f"the run is complete: `xibench spectrum {quoted}` prints its curves"):
        from xibench.analysis.spectrum import MIN_POINTS, curves
        from xibench.analysis.spectrum_text import document
        from xibench.cli.render import terminal
        from xibench.cli.render.spectrum_tables import show_curves
        from xibench.record.store import read

        stored = read(path)
        found = curves(stored.records, stored.calibration)
        if as_json:
            print_json({"file": str(path), "curves": [document(curve) for curve in found]})
        else:
            show_curves(stored, found)
            print(file=sys.stderr)
            for line in (f"Run file:  {path}", f"Charts:    xibench report {quoted}"):
                terminal.say(line, sys.stderr)
    if not any(len(curve.measured) > 1 for curve in found):
        raise XibenchError(
            f"{path} has no curve of the spectrum: expected at least {MIN_POINTS} numbers of segments, measured with "
            "one framework and recipe; `xibench spectrum` measures them"
        )
