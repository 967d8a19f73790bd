"""`xibench run`: measures a selection of cases, each in a fresh process, into a run file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from frameworks.errors import UnknownName
from xibench.cli import run_options as option
from xibench.cli.measuring import Fresh, measure, only_given, print_plan, refuse_beside_resume, rule_with
from xibench.cli.options import RUNS, Json, print_json, split, whole_numbers
from xibench.cli.recipe_files import with_files
from xibench.errors import UsageError, XibenchError

if TYPE_CHECKING:
    from xibench.record.schema import Rule
    from xibench.run.plan import Selection
    from xibench.run.presets import Preset


def run(
    context: typer.Context,
    preset: option.PresetName = None,
    framework: option.Frameworks = None,
    model: option.Models = None,
    operator: option.Operators = None,
    variant: option.Variants = None,
    scenario: option.Scenarios = None,
    recipe: option.Recipes = None,
    precision: option.Precisions = None,
    batch: option.Batches = None,
    sweep: option.Sweep = None,
    max_batch: option.MaxBatch = None,
    resolution: option.Resolutions = None,
    device: option.Device = None,
    images: option.Images = None,
    weights: option.Weights = None,
    seed: option.Seed = None,
    latency_bound: option.LatencyBound = None,
    processes: option.Processes = None,
    repeats: option.Repeats = None,
    max_warmup_steps: option.MaxWarmupSteps = None,
    min_steps: option.MinSteps = None,
    budget: option.Budget = None,
    half_width: option.HalfWidth = None,
    time_limit: option.TimeLimit = None,
    memory_limit: option.MemoryLimit = None,
    no_ceilings: option.NoCeilings = False,
    out: option.Out = RUNS,
    resume: option.Resume = None,
    dry_run: option.DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure networks: fresh processes for each case.

    Every combination of the options is a case. What a process measured is in the file as soon as it has ended.
    Exit code 1 if no case could be measured.

    \b
    Example:  xibench run --preset quick
              xibench run -f pytorch,jax -m xception --batch 1,8 --recipe tuned --processes 3
              xibench run -m xception --variant segments_4,no_residual
              xibench run --operator grouped,separable --variant middle_728_728 --batch 1
              xibench run -m xception --scenario server --latency-bound 0.5
    """
    if resume is not None:
        refuse_beside_resume(context)
        _print_result(measure(None, resume, not no_ceilings), as_json)
        return
    from xibench.run import plan, presets

    base = presets.preset(preset) if preset is not None else None
    selections = _selections(base, with_files({
        "frameworks": split(framework, "--framework"), "models": _subjects(model, operator),
        "variants": split(variant, "--variant"), "scenarios": split(scenario, "--scenario"),
        "recipes": split(recipe, "--recipe"), "precisions": split(precision, "--precision"),
        "batches": whole_numbers(batch, "--batch"), "sweep": sweep, "max_batch": max_batch,
        "resolutions": whole_numbers(resolution, "--resolution"), "device": device, "images": images,
        "weights": weights, "seed": seed, "latency_bound_s": latency_bound,
    }))  # fmt: skip
    cases = plan.all_cases(selections)
    rule = rule_with(base.rule if base else presets.rule_of(selections), {
        "processes": processes, "repeats": repeats, "max_warmup_steps": max_warmup_steps, "min_steps": min_steps,
        "budget_s": budget, "half_width": half_width, "time_limit_s": time_limit, "memory_limit_bytes": memory_limit,
    })  # fmt: skip
    rule = presets.swept(rule, selections)
    if dry_run:
        print_plan(cases, rule, as_json)
        return
    fresh = Fresh(cases, rule, _preset_name(base, selections, rule), out)
    _print_result(measure(fresh, None, not no_ceilings), as_json)


def _subjects(models: Sequence[str] | None, operators: Sequence[str] | None) -> tuple[str, ...]:
    """Networks and operators by name. Raises UnknownName for a network among the operators or the other way round."""
    from frameworks.architectures import MODELS, OPERATORS

    named = split(models, "--model"), split(operators, "--operator")
    for kind, names, known in zip(("model", "operator"), named, (MODELS, OPERATORS), strict=True):
        for name in names:
            if name not in known:
                raise UnknownName(kind, name, known)
    return named[0] + named[1]


def _print_result(path: Path, as_json: bool) -> None:
    from xibench.cli.commands.show import document, print_run
    from xibench.record import format
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
            f"none of {format.counted(len(stored.records), 'case')} could be measured: "
            "the reasons are above, `xibench doctor` says more"
        )


def _selections(base: Preset | None, options: Mapping[str, Any]) -> tuple[Selection, ...]:
    """The preset's selections, or the default one, with the parts that options replace. Each once."""
    from xibench.run.plan import Selection

    given = only_given(options)
    if given.get("max_batch") is not None and not given.get("sweep"):
        raise UsageError(f"--max-batch: received {given['max_batch']} without --sweep, expected both or neither")
    chosen = base.selections if base else (Selection(),)
    return tuple(dict.fromkeys(replace(selection, **given) for selection in chosen))


def _preset_name(base: Preset | None, selections: Sequence[Selection], rule: Rule) -> str | None:
    """The preset's name, unless options changed what it stands for; the device is the machine's, not the preset's."""
    if base is None or rule != base.rule or tuple(replace(s, device="auto") for s in selections) != base.selections:
        return None
    return base.name
