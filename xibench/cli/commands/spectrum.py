"""`xibench spectrum`: the paper's spectrum of networks, measured along its number of segments."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from frameworks.errors import UnknownName
from xibench.cli import run_options as option
from xibench.cli.measuring import (
    Fresh,
    measure,
    only_given,
    print_plan,
    refuse_beside_resume,
    refuse_others,
    rule_with,
)
from xibench.cli.options import RUNS, Json, print_json, run_path, split, whole_numbers
from xibench.cli.recipe_files import with_files
from xibench.errors import UsageError, XibenchError

if TYPE_CHECKING:
    from xibench.analysis.spectrum import Curve, Member, Widths

Run = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="A run file, or `latest`: tell what it says instead of measuring."),
]
Segments = Annotated[
    option.Names,
    typer.Option("--segments", metavar="N", help="Numbers of segments; C is one per channel.  [default: 1,2,3,4,8,C]"),
]
Ways = Annotated[
    option.Names,
    typer.Option(
        "--widths", metavar="WAY",
        help="paper: as published; equal: narrowed to the parameters of C.  [default: both]",
    ),
]  # fmt: skip


def spectrum(
    context: typer.Context,
    run: Run = None,
    segments: Segments = None,
    widths: Ways = None,
    framework: option.Frameworks = None,
    recipe: option.TunedRecipes = None,
    precision: option.Precisions = None,
    batch: option.Batches = None,
    resolution: option.Resolutions = None,
    device: option.Device = None,
    images: option.Images = None,
    processes: option.Processes = None,
    budget: option.Budget = None,
    no_ceilings: option.NoCeilings = False,
    out: option.Out = RUNS,
    resume: option.Resume = None,
    dry_run: option.DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure Xception along the number of segments, from a regular convolution to a depthwise one.

    Throughput, latency, memory, parameters, multiply-adds and the attained fraction of the roofline, at the paper's
    widths and at equal parameters; and where each framework's grouped convolution falls off. Exit code 1 if no curve
    came out.

    \b
    Example:  xibench spectrum --dry-run
              xibench spectrum -f pytorch --recipe tuned --segments 1,4,C --batch 8
              xibench spectrum latest
    """
    if run is not None:
        refuse_others(context, ("run", "as_json"), "RUN tells what a run file says: received")
        tell(run_path(run), as_json)
        return
    if resume is not None:
        refuse_beside_resume(context)
        tell(measure(None, resume, not no_ceilings), as_json)
        return
    from xibench.analysis import spectrum as spectrum_
    from xibench.run import plan

    found = spectrum_.members(_ways(widths), _segments(segments))
    _check_enough(found)
    chosen = plan.Selection(recipes=("tuned",))
    given = only_given(with_files({
        "frameworks": split(framework, "--framework"), "recipes": split(recipe, "--recipe"),
        "precisions": split(precision, "--precision"), "batches": whole_numbers(batch, "--batch"),
        "resolutions": whole_numbers(resolution, "--resolution"), "device": device, "images": images,
    }))  # fmt: skip
    cases = plan.all_cases(spectrum_.selections(replace(chosen, **given), found))
    rule = rule_with(spectrum_.RULE, {"processes": processes, "budget_s": budget})
    if dry_run:
        print_plan(cases, rule, as_json)
        return
    tell(measure(Fresh(cases, rule, None, out), None, not no_ceilings), as_json)


def tell(path: Path, as_json: bool) -> None:
    """Prints the curves of a run file and what they say. Raises XibenchError if it holds none."""
    from xibench.analysis.spectrum import LEAST_POINTS, curves
    from xibench.record.store import read

    stored = read(path)
    found = curves(stored.records, stored.calibration)
    told = [curve for curve in found if len(curve.measured) > 1]
    if as_json:
        print_json({"file": str(path), "curves": [_document(curve) for curve in found]})
    else:
        from xibench.cli.render import terminal
        from xibench.cli.render.spectrum_tables import curve_notes, curve_table, finding_of

        for curve in found:
            terminal.show(curve_table(curve))
        for line in (*map(finding_of, told), *curve_notes(stored, found)):
            print(line)
        quoted = shlex.quote(str(path))
        print(f"\nRun file:  {path}\nCharts:    xibench report {quoted}", file=sys.stderr)
    if not told:
        raise XibenchError(
            f"{path} holds no curve of the spectrum: expected at least {LEAST_POINTS} numbers of segments of one "
            "framework and recipe, measured; `xibench spectrum` measures them"
        )


def _document(curve: Curve) -> dict[str, Any]:
    from xibench.analysis.spectrum import falls_off, label, steps
    from xibench.analysis.spectrum_told import why_none
    from xibench.cli.render.spectrum_tables import finding_of

    worst = falls_off(curve)
    none = None if worst else why_none(curve) or "no step along g loses a tenth of what it attains"
    return {
        "case": curve.case,
        "widths": curve.widths,
        "finding": finding_of(curve) if len(curve.measured) > 1 else None,
        "falls_off": worst and {"from": label(worst.before.segments), "to": label(worst.after.segments)},
        "falls_off_reason": none,
        "points": [
            {
                "segments": label(point.member.segments), "variant": point.member.variant, "width": point.member.width,
                "parameters_trainable": point.member.parameters_trainable, "macs": point.member.macs,
                "images_per_s": point.throughput.images_per_s, "attained": point.throughput.attained,
                "peak_bytes": point.throughput.peak_bytes, "device_peak_bytes": point.throughput.device_peak_bytes,
                "latency_s": point.latency.latency if point.latency else {},
                "status": point.throughput.status, "reason": point.throughput.reason,
                "disturbed": point.throughput.disturbed, "unsteady": point.throughput.unsteady,
                "substitutions": point.throughput.substitutions,
            }
            for point in curve.points
        ],
        "steps": [
            {"from": label(s.before.segments), "to": label(s.after.segments), "work": s.work, "faster": s.faster,
             "kept": s.kept}
            for s in steps(curve)
        ],
    }  # fmt: skip


def _check_enough(found: tuple[Member, ...]) -> None:
    """Raises UsageError for fewer numbers of segments than make a curve."""
    from xibench.analysis.spectrum import LEAST_POINTS, label

    asked = dict.fromkeys(label(member.segments) for member in found)
    if len(asked) < LEAST_POINTS:
        raise UsageError(
            f"--segments: received {', '.join(asked)}, expected at least {LEAST_POINTS} numbers, which make a curve; "
            "`xibench run --variant` measures single networks"
        )


def _ways(asked: option.Names) -> tuple[Widths, ...]:
    from xibench.analysis.spectrum import WAYS, Widths

    names = split(asked, "--widths") or WAYS
    for name in names:
        if name not in get_args(Widths):
            raise UnknownName("way of widths", name, get_args(Widths))
    return cast("tuple[Widths, ...]", names)


def _segments(asked: option.Names) -> tuple[int, ...]:
    from xibench.analysis.spectrum import EXTREME, SEGMENTS

    names = split(asked, "--segments")
    for name in names:
        if name.upper() != "C" and not (name.isascii() and name.isdigit() and int(name) > 0):
            raise UsageError(f"--segments: received {name}, expected whole numbers from 1 up, or C (one per channel)")
    return tuple(EXTREME if name.upper() == "C" else int(name) for name in names) or SEGMENTS
