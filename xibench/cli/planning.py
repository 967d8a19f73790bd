"""From options to what is measured: the one place that knows which option sets which field of a plan."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from frameworks.errors import UnknownName
from xibench.cli.options import SamplingOptions, SelectionOptions
from xibench.errors import UsageError

if TYPE_CHECKING:
    from xibench.analysis.tuning_folder import SearchPlan
    from xibench.record.schema import Case, SamplingConfig
    from xibench.run.plan import Preset, Selection


def command_line() -> str:
    """The command as it was typed, which records keep."""
    return shlex.join(["xibench", *sys.argv[1:]])


@dataclass(frozen=True)
class NewRun:
    """What a new run file is made from. preset: its name, if the run is exactly what the preset stands for."""

    cases: tuple[Case, ...]
    sampling: SamplingConfig
    preset: str | None = None


def plan_run(preset: str | None, chosen: SelectionOptions, sampled: SamplingOptions) -> NewRun:
    """The run that `xibench run` was asked for.

    Args:
        preset: the name of a preset, parts of which the options replace.
        chosen: what is measured.
        sampled: how long and how often.

    Raises:
        UsageError, UnknownName: options that name nothing known or contradict each other (see `plan.cases`).
        InputError: a recipe file that cannot be read.
    """
    from xibench.run import plan

    base = plan.preset(preset) if preset is not None else None
    chosen_selections = selections(chosen, base.selections if base else (plan.Selection(),))
    cases = plan.all_cases(chosen_selections)
    config = sampling(sampled, base.sampling if base else plan.sampling_of(chosen_selections))
    config = msgspec.structs.replace(config, sweep=any(one.sweep for one in chosen_selections))
    name = _preset_name(base, chosen_selections, config)
    if name is None:  # the total budget holds for the unchanged preset only
        config = msgspec.structs.replace(config, total_budget_s=None)
    return NewRun(cases, config, name)


def plan_search(
    target: str | None, options: SelectionOptions, choices: Sequence[str] | None, budget_s: float | None
) -> SearchPlan:
    """The search that `xibench tune` was asked for.

    Args:
        target: FRAMEWORK/MODEL or FRAMEWORK/MODEL/VARIANT.
        options: the rest of the case; of several batches the first is tuned for.
        choices: names of the choices that are searched; None: all that the device leaves open.
        budget_s: seconds after which no further choice is tried; None: the default.

    Raises:
        UsageError, UnknownName: a target, a choice or an option that names nothing known, or several of what must be
            one.
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
    """As `selections`, of one selection: `base`, or the default one."""
    from xibench.run import plan

    (found,) = selections(options, (base or plan.Selection(),))
    return found


def selections(options: SelectionOptions, bases: Sequence[Selection]) -> tuple[Selection, ...]:
    """Selections with the parts that options replace, each once.

    A recipe file stands for the recipe in it; its framework, and its batch where the search was over batches, hold
    unless others were asked for.

    Raises:
        UnknownName: a network among the operators, or the other way round.
        UsageError: --max-batch without --sweep, or a recipe file for another framework than those asked for.
        InputError: a recipe file that cannot be read.
    """
    if options.max_batch is not None and not options.sweep:
        raise UsageError(f"--max-batch: received {options.max_batch} without --sweep, expected both or neither")
    given = _given(
        frameworks=options.framework,
        models=_networks_and_operators(options),
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
    given |= _from_recipe_files(given)
    return tuple(dict.fromkeys(replace(base, **given) for base in bases))


def sampling(options: SamplingOptions, base: SamplingConfig) -> SamplingConfig:
    """A sampling configuration with the parts that options replace. A limit that an option passes moves with it."""
    import msgspec

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
    """Those that were given; lists as tuples, which selections hold."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if value is not None
    }


def _networks_and_operators(options: SelectionOptions) -> list[str] | None:
    from frameworks.architectures import MODELS, OPERATORS

    for kind, names, known in (("model", options.model, MODELS), ("operator", options.operator, OPERATORS)):
        for name in names or ():
            if name not in known:
                raise UnknownName(kind, name, known)
    return [*(options.model or ()), *(options.operator or ())] or None


def _from_recipe_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a selection that recipe files among its recipes replace."""
    from xibench.record.recipe_file import SUFFIX, read

    names = given.get("recipes", ())
    files = {name: read(name) for name in names if name.endswith(SUFFIX)}
    if not files:
        return {}
    wanted = given.get("frameworks") or (next(iter(files.values())).framework,)
    for name, found in files.items():
        if set(wanted) != {found.framework}:
            raise UsageError(
                f"--recipe {name}: it is a recipe for {found.framework}; received --framework {', '.join(wanted)}, "
                f"expected {found.framework} alone"
            )
    replaced: dict[str, Any] = {
        "recipes": tuple(files[name].recipe if name in files else name for name in names),
        "frameworks": wanted,
    }
    tuned_for = tuple(dict.fromkeys(found.batch for found in files.values() if found.batch))
    if tuned_for and "batches" not in given:
        replaced["batches"] = tuned_for
    return replaced


def _preset_name(base: Preset | None, chosen: Sequence[Selection], sampling: SamplingConfig) -> str | None:
    """The preset's name, unless options changed what it stands for; the device is the machine's, not the preset's."""
    if base is None or sampling != base.sampling or tuple(replace(s, device="auto") for s in chosen) != base.selections:
        return None
    return base.name
