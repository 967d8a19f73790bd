"""`xibench run`: measures a selection of cases, each in a fresh process, into a run file."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xibench.cli.options import (
    RUNS,
    Json,
    positive_seconds,
    print_json,
    seed_number,
    split,
    whole_number,
    whole_numbers,
)
from xibench.errors import UsageError, XibenchError

if TYPE_CHECKING:
    from xibench.record.schema import Case, Rule
    from xibench.record.store import RunFile
    from xibench.run.parent import Watch
    from xibench.run.plan import Preset, Selection

Names = list[str] | None

PresetName = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="A named selection; other options replace its parts.")
]
Frameworks = Annotated[
    Names, typer.Option("-f", "--framework", metavar="NAME", help="Repeat or separate by commas; all if left out.")
]
Models = Annotated[Names, typer.Option("-m", "--model", metavar="NAME", help="Networks, likewise; all if left out.")]
Variants = Annotated[
    Names, typer.Option("--variant", metavar="NAME", help="Configurations of the networks.  [default: default]")
]
Recipes = Annotated[
    Names, typer.Option("--recipe", metavar="NAME", help="default, compiled, tuned.  [default: default]")
]
Precisions = Annotated[Names, typer.Option("--precision", metavar="NAME", help="fp64, fp32, bf16.  [default: fp32]")]
Batches = Annotated[Names, typer.Option("--batch", metavar="N", help="Images per step.  [default: 8]")]
Resolutions = Annotated[
    Names, typer.Option("--resolution", metavar="PX", help="Pixels, square; each network's own if left out.")
]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda.  [default: auto, a GPU if one is usable]")
]
Images = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="`sample` (two photographs), `noise`, or a folder of photographs: its files by name, then its "
        "subfolders', as many as the largest batch has images.  [default: sample]",
    ),
]
Weights = Annotated[str | None, typer.Option(metavar="FILE", help="safetensors, or seed:N.  [default: seed:0]")]
Seed = Annotated[int | None, typer.Option(parser=seed_number, metavar="N", help="Of everything random in measuring.")]
MinSteps = Annotated[int | None, typer.Option(parser=whole_number, metavar="N", help="Timed steps a case, at least.")]
Budget = Annotated[
    float | None, typer.Option(parser=positive_seconds, metavar="S", help="Seconds of timed steps, once enough.")
]
TimeLimit = Annotated[
    float | None, typer.Option(parser=positive_seconds, metavar="S", help="Seconds after which a case is given up.")
]
Out = Annotated[Path, typer.Option("--out", metavar="PATH", help="Run file (.jsonl) or folder to write.")]
Resume = Annotated[Path | None, typer.Option("--resume", metavar="FILE", help="Go on with a run file's own plan.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and what a step of each case costs.")]


def run(
    context: typer.Context,
    preset: PresetName = None,
    framework: Frameworks = None,
    model: Models = None,
    variant: Variants = None,
    recipe: Recipes = None,
    precision: Precisions = None,
    batch: Batches = None,
    resolution: Resolutions = None,
    device: Device = None,
    images: Images = None,
    weights: Weights = None,
    seed: Seed = None,
    min_steps: MinSteps = None,
    budget: Budget = None,
    time_limit: TimeLimit = None,
    out: Out = RUNS,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure networks: a fresh process per case.

    Every combination of the options is a case. A case's record is in the file as soon as the case has ended.
    Exit code 1 if no case could be measured.

    \b
    Example:  xibench run --preset quick
              xibench run -f pytorch,jax -m xception --batch 1,8 --recipe tuned
    """
    if resume is not None:
        _refuse_beside_resume(context)
        _measure(None, resume, as_json)
        return
    from xibench.run import plan

    base = plan.preset(preset) if preset is not None else None
    given: dict[str, Any] = {
        "frameworks": split(framework, "--framework"), "models": split(model, "--model"),
        "variants": split(variant, "--variant"), "recipes": split(recipe, "--recipe"),
        "precisions": split(precision, "--precision"), "batches": whole_numbers(batch, "--batch"),
        "resolutions": whole_numbers(resolution, "--resolution"), "device": device, "images": images,
        "weights": weights, "seed": seed,
    }  # fmt: skip
    selection = replace(base.selection if base else plan.Selection(), **_only_given(given))
    rule = _rule(base, min_steps, budget, time_limit)
    cases = plan.cases(selection)
    if dry_run:
        _print_plan(cases, as_json)
        return
    _measure(_Fresh(cases, rule, _preset_name(base, selection, rule), out), None, as_json)


@dataclass(frozen=True)
class _Fresh:
    """What a new run file is made from."""

    cases: tuple[Case, ...]
    rule: Rule
    preset: str | None
    out: Path


def _measure(fresh: _Fresh | None, resume: Path | None, as_json: bool) -> None:
    from xibench.cli.progress import watching
    from xibench.run import parent

    with watching() as watch, _open(fresh, resume, watch) as run_file:
        parent.run(run_file.pending(), run_file, watch)
    _print_result(run_file.path, as_json)


def _open(fresh: _Fresh | None, resume: Path | None, watch: Watch) -> RunFile:
    from xibench.run import start

    if fresh is None:
        assert resume is not None
        return start.resume(resume, watch)
    command = shlex.join(["xibench", *sys.argv[1:]])
    return start.start(fresh.cases, fresh.rule, fresh.preset, command, fresh.out)


def _print_result(path: Path, as_json: bool) -> None:
    from xibench.cli import format
    from xibench.cli.show import document, print_run
    from xibench.record.store import read

    stored = read(path)
    print_run(path, stored, to_stderr=as_json)
    quoted = shlex.quote(str(path))
    print(f"\nRun file:  {path}\nCharts:    xibench report {quoted}\nAs table:  xibench export {quoted} --out run.csv",
          file=sys.stderr)
    if as_json:
        print_json(document(path, stored))
    if not any(record.status == "ok" for record in stored.records):
        raise XibenchError(
            f"none of {format.cases(len(stored.records))} could be measured: "
            "the reasons are above, `xibench doctor` says more"
        )


def _print_plan(cases: tuple[Case, ...], as_json: bool) -> None:
    from xibench.run.plan import costs

    rows = [(case, costs(case)) for case in cases]
    if as_json:
        print_json({"plan": [{"case": case, "costs": cost} for case, cost in rows]})
        return
    from xibench.cli import format

    format.show(format.plan_table(rows))


def _only_given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None and value != ()}


def _rule(base: Preset | None, min_steps: int | None, budget: float | None, time_limit: float | None) -> Rule:
    import msgspec

    from xibench.record.schema import Rule

    rule = base.rule if base else Rule()
    given = {"min_steps": min_steps, "budget_s": budget, "time_limit_s": time_limit}
    rule = msgspec.structs.replace(rule, **_only_given(given))
    return msgspec.structs.replace(rule, max_steps=max(rule.max_steps, rule.min_steps))


def _preset_name(base: Preset | None, selection: Selection, rule: Rule) -> str | None:
    """The preset's name, unless options changed what it stands for; the device is the machine's, not the preset's."""
    if base is None or rule != base.rule or replace(selection, device=base.selection.device) != base.selection:
        return None
    return base.name


def _refuse_beside_resume(context: typer.Context) -> None:
    """Raises UsageError if the plan of a run file is to be gone on with and changed at once."""
    given = [name for name in context.params if name not in ("resume", "as_json") and _typed(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"--resume goes on with the plan of its file: received {options} too, expected nothing else")


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
