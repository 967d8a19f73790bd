"""From options to a plan and its run file: the only place that knows which option sets which field of a plan."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from frameworks.errors import UnknownName
from xibench.cli.options import RUNS, RunFileOptions, SamplingOptions, SelectionOptions, print_json
from xibench.errors import UsageError
from xibench.record.text import shell_word

if TYPE_CHECKING:
    import typer

    from xibench.analysis.tuning_folder import SearchPlan
    from xibench.record.schema import Case, SamplingConfig
    from xibench.run.plan import Selection

WITH_RESUME: Final = ("resume", "as_json", "no_ceilings", "total_budget")
"""Options that are allowed beside --resume."""


def command_line() -> str:
    """Return the command line of this process, which records keep."""
    return " ".join(map(shell_word, ["xibench", *sys.argv[1:]]))


@dataclass(frozen=True)
class NewRun:
    """The plan of a new run file.

    Attributes:
        cases: Cases to measure.
        sampling: How long and how often each is measured.
        preset: Name of the preset, if the run is exactly what the preset stands for.
    """

    cases: tuple[Case, ...]
    sampling: SamplingConfig
    preset: str | None = None


def plan_run(preset: str | None, chosen: SelectionOptions, sampled: SamplingOptions) -> NewRun:
    """Plan the run that the options of `xibench run` describe.

    Args:
        preset: Name of a preset; the options replace parts of it.
        chosen: Options that select the cases.
        sampled: Options that set how long and how often each is measured.

    Raises:
        UsageError, UnknownName: Options have an unknown name or contradict each other (see `plan.cases`).
        InputError: A recipe file cannot be read.
    """
    from xibench.run import plan

    base = plan.preset(preset) if preset is not None else None
    chosen_selections = selections(chosen, base.selections if base else (plan.Selection(),))
    cases = plan.cases(*chosen_selections)
    config = sampling(sampled, base.sampling if base else plan.sampling_of(chosen_selections))
    config = msgspec.structs.replace(config, sweep=any(one.sweep for one in chosen_selections))

    # A run is the preset if the options changed nothing but the device, which is a property of the machine. Only then
    # does the preset's total budget apply.
    on_any_device = tuple(replace(one, device="auto") for one in chosen_selections)
    if base is not None and (config, on_any_device) == (base.sampling, base.selections):
        return NewRun(cases, config, base.name)
    return NewRun(cases, msgspec.structs.replace(config, total_budget_s=None))


def plan_again(path: Path, chosen: SelectionOptions, sampled: SamplingOptions) -> NewRun:
    """Plan to measure cases of a run file once more, sampled as they were.

    Args:
        path: The run file.
        chosen: Options that name cases of the file; those that were not given leave all of them.
        sampled: Options that replace parts of the file's sampling configuration.

    Raises:
        UsageError: The file has no such case.
        StoreError, NewerFormat: The file cannot be read.
    """
    from xibench.record.store import read
    from xibench.run import plan

    header = read(path).header
    cases = tuple(header.plan)
    models = [*(chosen.model or ()), *(chosen.operator or ())]
    for name, values in (("framework", chosen.framework), ("model", models), *(
        (name, getattr(chosen, name)) for name in ("variant", "scenario", "recipe", "precision", "batch", "resolution")
    )):  # fmt: skip
        known = dict.fromkeys(getattr(case, name) for case in cases)
        cases = tuple(case for case in cases if not values or getattr(case, name) in values)
        if not cases:
            raise UsageError(
                f"--{name}: received {', '.join(map(str, values or ()))}, expected one of those in {path}: "
                f"{', '.join(map(str, known))}"
            )
    plan.require_possible(cases)
    config = sampling(sampled, header.sampling)
    return NewRun(cases, msgspec.structs.replace(config, total_budget_s=None))


def plan_search(
    target: str | None, options: SelectionOptions, choices: Sequence[str] | None, budget_s: float | None
) -> SearchPlan:
    """Plan the search that the options of `xibench tune` describe.

    Args:
        target: FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT.
        options: The rest of the case. If there are several batches, the search is for the first.
        choices: Names of the choices to search; None for all that apply on the device.
        budget_s: Seconds after which no further choice is tried; None for the default.

    Raises:
        UsageError, UnknownName: The target, a choice or an option has an unknown name, or there are several values of
            an option that takes one.
    """
    from frameworks.api import FRAMEWORKS
    from frameworks.architectures import OPERATORS
    from xibench.analysis.tuning import searched_choices
    from xibench.analysis.tuning_folder import BUDGET_S, SearchPlan
    from xibench.run import plan

    parts = (target or "").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        forms = "FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT, such as jax/xception"
        raise UsageError(f"CASE: received {target or 'none'}, expected {forms}")
    framework, model, *variant = parts
    if framework not in FRAMEWORKS:  # the recipes of a third-party implementation are not ours to change
        raise UnknownName("framework", framework, FRAMEWORKS)
    for name, values in (("--precision", options.precision), ("--resolution", options.resolution)):
        if len(values or ()) > 1:
            raise UsageError(f"{name}: received {', '.join(map(str, values or ()))}, expected one")

    batches = tuple(options.batch or ())
    base = plan.Selection(
        frameworks=(framework,),
        models=(model,),
        variants=tuple(variant) or ("default",),
        batches=(1,) if model in OPERATORS else None,
    )
    (case,) = plan.cases(selection(replace(options, batch=list(batches[:1]) or None), base))
    return SearchPlan(
        case=case,
        choices={name: list(values) for name, values in searched_choices(case, choices).items()},
        batches=list(batches) if len(batches) > 1 else [],
        budget_s=BUDGET_S if budget_s is None else budget_s,
        command=command_line(),
    )


def selection(options: SelectionOptions, base: Selection | None = None) -> Selection:
    """Return one selection: `base`, or the default, with the parts that the options replace (see `selections`)."""
    from xibench.run import plan

    (found,) = selections(options, (base or plan.Selection(),))
    return found


def selections(options: SelectionOptions, bases: Sequence[Selection]) -> tuple[Selection, ...]:
    """Return selections with the parts that options replace, without duplicates.

    A recipe file stands for the recipe in it. Its framework, and its batch if the search compared batches, apply unless
    the options name others.

    Raises:
        UnknownName: A network is named as an operator, or the other way round.
        UsageError: --max-batch without --sweep, or a recipe file for a framework other than those selected.
        InputError: A recipe file cannot be read.
    """
    from frameworks.architectures import MODELS, OPERATORS
    from xibench.record.recipe_file import SUFFIX

    if options.max_batch is not None and not options.sweep:
        raise UsageError(f"--max-batch: received {options.max_batch} without --sweep, expected both or neither")
    for kind, names, known in (("model", options.model, MODELS), ("operator", options.operator, OPERATORS)):
        for name in names or ():
            if name not in known:
                raise UnknownName(kind, name, known)
    given = _given(
        frameworks=options.framework,
        models=[*(options.model or ()), *(options.operator or ())] or None,
        variants=options.variant,
        scenarios=options.scenario,
        recipes=options.recipe,
        precisions=options.precision,
        batches=options.batch,
        sweep=options.sweep,
        max_batch=options.max_batch,
        resolutions=options.resolution,
        device=options.device,
        images=options.images,
        weights=options.weights,
        seed=options.seed,
        latency_bound_s=options.latency_bound,
    )
    if any(name.endswith(SUFFIX) for name in options.recipe or ()):
        given |= _from_recipe_files(given)
    return tuple(dict.fromkeys(replace(base, **given) for base in bases))


def sampling(options: SamplingOptions, base: SamplingConfig) -> SamplingConfig:
    """Return a sampling configuration with the parts that options replace.

    The limits on steps follow: max_steps is at least --min-steps, and warmup_steps at most --max-warmup-steps.
    """
    given = _given(
        processes=options.processes,
        repeats=options.repeats,
        max_warmup_steps=options.max_warmup_steps,
        min_steps=options.min_steps,
        budget_s=options.budget,
        half_width=options.half_width,
        time_limit_s=options.time_limit,
        memory_limit_bytes=options.memory_limit,
    )
    if options.half_width == 0:
        given["half_width"] = None
    replaced = msgspec.structs.replace(base, **given)
    return msgspec.structs.replace(
        replaced,
        max_steps=max(replaced.max_steps, replaced.min_steps),
        warmup_steps=min(replaced.warmup_steps, replaced.max_warmup_steps),
    )


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given. Lists become tuples, which selections hold."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if value is not None
    }


def _from_recipe_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a selection that the recipe files among its recipes replace."""
    from xibench.record.recipe_file import SUFFIX, read

    names = given["recipes"]
    files = {name: read(name) for name in names if name.endswith(SUFFIX)}
    frameworks = given.get("frameworks") or (next(iter(files.values())).framework,)
    for name, found in files.items():
        if set(frameworks) != {found.framework}:
            raise UsageError(
                f"--recipe {name}: it is a recipe for {found.framework}; received --framework {', '.join(frameworks)}, "
                f"expected {found.framework} alone"
            )
    replaced: dict[str, Any] = {
        "recipes": tuple(files[name].recipe if name in files else name for name in names),
        "frameworks": frameworks,
    }
    tuned_for = tuple(dict.fromkeys(found.batch for found in files.values() if found.batch))
    if tuned_for and "batches" not in given:
        replaced["batches"] = tuned_for
    return replaced


def measure(planned: NewRun | Path, file: RunFileOptions) -> Path:
    """Measure a new run, or the pending cases of a run file, and return the path of the run file."""
    from xibench.cli.render.progress import showing_progress
    from xibench.run import execute

    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(showing_progress())
        if isinstance(planned, Path):
            run_file = execute.resume(planned, watch)
        else:
            run_file = execute.start(planned.cases, planned.sampling, planned.preset, command_line(), file.out)
        stack.enter_context(run_file)
        pending = run_file.index.pending()
        execute.run(pending, run_file, watch, calibrate=not file.no_ceilings, budget_s=file.total_budget)
    return run_file.path


def print_plan(new: NewRun, as_json: bool) -> None:
    """Print the planned cases with the costs of a step, which cannot be measured here, and how long it takes."""
    from xibench.record import environment, format
    from xibench.run.ceilings import costs
    from xibench.run.estimate import estimate
    from xibench.run.plan import impossible
    from xibench.workers.session import interpreters

    rows = [(case, costs(case)) for case in new.cases]
    possible = [case for case in new.cases if impossible(case, new.sampling.memory_limit_bytes) is None]
    takes = estimate(possible, new.sampling, environment.read(interpreters()), RUNS)
    if as_json:
        plan = [{"case": case, "costs": cost} for case, cost in rows]
        print_json({"rule": new.sampling, "plan": plan, "estimate": takes})
        return
    from xibench.cli.render import terminal
    from xibench.cli.render.run_tables import plan_table

    terminal.show(plan_table(rows, new.sampling))
    refused: dict[str, list[str]] = {}
    for number, case in enumerate(new.cases, start=1):
        if known := impossible(case, new.sampling.memory_limit_bytes):
            refused.setdefault(known[1], []).append(str(number))
    for reason, numbers in refused.items():
        terminal.say(f"Cannot be measured on this machine ({', '.join(numbers)}): {reason}")
    source = "a rough estimate, because no earlier run on this machine has these cases"
    if takes.known_cases:
        source = f"{takes.known_cases} of {format.counted(takes.cases, 'case')} are in earlier runs on this machine"
    print(
        f"It takes about {format.rough_duration(takes.seconds)} ({source}); disturbed processes that are repeated add "
        "to it."
    )


def refuse_beside_resume(context: typer.Context, allowed: Sequence[str] = WITH_RESUME, what: str = "file") -> None:
    """Raise UsageError if --resume is combined with options that would change the plan of its file or folder."""
    refuse_others(context, allowed, f"--resume continues with the plan of its {what}: received")


def refuse_others(context: typer.Context, allowed: Sequence[str], because: str) -> None:
    """Raise UsageError if the command line has options other than the allowed ones.

    Args:
        context: Context of the command.
        allowed: Names of the allowed parameters.
        because: Beginning of the error message.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params if name not in allowed}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(
            f"{because} {options} as well, expected no further option; leave {'it' if len(given) == 1 else 'them'} out"
        )
