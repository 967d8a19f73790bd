"""From a selection of names to cases: everything is checked here, before anything runs. Imports no framework."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import msgspec

from frameworks.architectures import MODELS, OPERATORS, SUBJECTS, network
from frameworks.cost import as_written, cost, fused_layers
from frameworks.errors import UnknownName
from frameworks.recipes import RECIPES, recipe
from frameworks.runtime import DEVICES, FRAMEWORKS, IMPLEMENTATIONS, PRECISIONS, framework_of
from frameworks.third_party import CONTENDERS
from frameworks.weights import check_file
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.measure.roofline import attainable_s
from xibench.record.schema import Calibration, Case, Costs, Rule, Scenario
from xibench.workers import probe
from xibench.workers.inputs import NOISE

SCENARIOS: Final[tuple[Scenario, ...]] = get_args(Scenario)
ONE_IMAGE: Final = ("single-stream", "server")  # scenarios whose queries are one image each
BATCHES: Final = (8,)  # of the other scenarios, unless others are asked for
NO_CEILINGS: Final = "the run's ceilings were not measured"


@dataclass(frozen=True, slots=True)
class Selection:
    """Names whose every combination is a case."""

    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)  # contenders, too
    models: tuple[str, ...] = tuple(name for name, model in MODELS.items() if model.main)  # networks and operators
    variants: tuple[str, ...] = ("default",)
    scenarios: tuple[str, ...] = ("offline",)
    recipes: tuple[str, ...] = ("default",)
    precisions: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] | None = None  # None: 8; 1 in the scenarios whose queries are one image each
    sweep: bool = False  # batches double from 1 up to max_batch, until one runs out of memory
    max_batch: int = 1024
    resolutions: tuple[int, ...] | None = None  # None: each model's own
    device: str = "auto"  # auto, cpu, cuda
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or a folder; operators get noise
    seed: int = 0
    latency_bound_s: float | None = None  # of scenario server; None: a multiple of a query's time alone


@dataclass(frozen=True, slots=True)
class Preset:
    """Selections with a name and the rule that makes them end in the time that it promises."""

    name: str
    purpose: str
    selections: tuple[Selection, ...]
    rule: Rule


PRESETS: Final[Mapping[str, Preset]] = {
    "quick": Preset(
        "quick",
        "a newcomer's first five minutes: every framework and network at batch 8, default against tuned",
        (Selection(recipes=("default", "tuned")),),
        Rule(
            repeats=0, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3, max_steps=100,
            budget_s=3.0, time_limit_s=120.0,
        ),
    ),
    "nightly": Preset(
        "nightly",
        "the regression job: inference at batch 1 and 8, default and tuned, fp32 and tuned bf16, 3 processes a case",
        (
            Selection(recipes=("default", "tuned"), batches=(1, 8)),
            Selection(recipes=("tuned",), precisions=("bf16",), batches=(1, 8)),
        ),
        Rule(
            processes=3, repeats=1, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3,
            max_steps=200, budget_s=4.0, time_limit_s=180.0,
        ),
    ),
}  # fmt: skip

SCENARIO_RULES: Final[Mapping[str, Rule]] = {
    "offline": Rule(),
    "single-stream": Rule(max_steps=400, budget_s=120.0, half_width=None),  # p99 takes 368 queries
    "server": Rule(max_steps=400, budget_s=20.0, half_width=None, time_limit_s=3600.0),
    "compile": Rule(processes=5),
}
"""The rule of each scenario, unless a preset or the user has another."""


def preset(name: str) -> Preset:
    """A preset by name. Raises UnknownName with the nearest names."""
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]


def rule_of(selections: Sequence[Selection]) -> Rule:
    """The rule of a run without a preset: that of its scenario; of several the most patient in each respect."""
    rules = [SCENARIO_RULES[name] for selection in selections for name in selection.scenarios]
    rule = rules[0]
    for other in rules[1:]:
        rule = msgspec.structs.replace(
            rule,
            processes=max(rule.processes, other.processes),
            max_steps=max(rule.max_steps, other.max_steps),
            budget_s=max(rule.budget_s, other.budget_s),
            half_width=None if None in (rule.half_width, other.half_width) else rule.half_width,
            time_limit_s=max(rule.time_limit_s, other.time_limit_s),
        )
    return rule


def swept(rule: Rule, selections: Sequence[Selection]) -> Rule:
    """The rule, with the mark of a sweep if a selection is one."""
    return msgspec.structs.replace(rule, sweep=any(selection.sweep for selection in selections))


def all_cases(selections: Sequence[Selection]) -> tuple[Case, ...]:
    """The cases of several selections, each once, in their order. Raises as `cases` does."""
    return tuple(dict.fromkeys(itertools.chain.from_iterable(map(cases, selections))))


def cases(selection: Selection) -> tuple[Case, ...]:
    """Every combination once. The framework varies fastest.

    Raises UnknownName (framework, model, variant, scenario, recipe or choice of one, precision, device),
    InvalidConfiguration (a resolution that the model cannot take, with the least that works; a value that a recipe's
    choice does not have), InvalidWeights (a file that is none or does not
    fit every selected network) or UsageError (batch, sweep, seed, weights, latency bound, nothing selected).
    """
    _check_names(selection)
    _check_numbers(selection)
    _check_weights(selection)
    device = resolve_device(selection.frameworks, selection.device)
    _check_recipes(selection, device)
    planned = [
        Case(
            framework=framework,
            model=model,
            variant=variant,
            scenario=scenario,
            recipe=recipe,
            precision=precision,
            batch=batch,
            resolution=resolution,
            device=device,
            weights=selection.weights,
            images=NOISE if model in OPERATORS else selection.images,
            seed=selection.seed,
            latency_bound_s=selection.latency_bound_s if scenario == "server" else None,
        )
        for model, variant in itertools.product(selection.models, selection.variants)
        for resolution in _resolutions(model, variant, selection.resolutions)
        for scenario in SCENARIOS
        if scenario in selection.scenarios
        for precision, batch, recipe, framework in itertools.product(
            selection.precisions, _batches(selection, scenario), selection.recipes, selection.frameworks
        )
    ]
    return tuple(dict.fromkeys(planned))


def costs(case: Case, calibration: Calibration | None = None) -> Costs:
    """What one step of the case costs, from its blueprint; with a run's ceilings also the time attainable by them."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    total = cost(blueprint, batch=case.batch, precision=case.precision)
    known = Costs(
        parameters_trainable=total.parameters_trainable,
        parameters_total=total.parameters_total,
        macs=total.macs,
        activations=total.activations,
        bytes_moved=total.bytes_moved,
        elementwise=total.elementwise,
    )
    peak, bandwidth, missing = _ceilings(case, calibration)
    if peak is None or bandwidth is None:
        return msgspec.structs.replace(known, absent={"attainable_s": missing, "attainable_as_written_s": missing})
    return msgspec.structs.replace(
        known,
        attainable_s=attainable_s(fused_layers(total), peak, bandwidth),
        attainable_as_written_s=attainable_s(as_written(total), peak, bandwidth),
    )


def _ceilings(case: Case, calibration: Calibration | None) -> tuple[float | None, float | None, str]:
    """Peak FLOP/s, bytes/s, and why either is None."""
    if calibration is None or calibration.device != case.device:
        return None, None, NO_CEILINGS
    peak, bandwidth = calibration.peak_flops_per_s(case.precision), calibration.bytes_per_s
    lacking = f"a matrix product in {case.precision}" if peak is None else "a copy"
    return peak, bandwidth, f"{lacking} could not be measured for the run's ceilings"


def resolve_device(frameworks: Sequence[str], asked: str) -> str:
    """The device of a run: cpu or cuda. `auto` is cuda where a framework sees a card, else cpu.

    Frameworks are asked, each in a process of its own, only on a machine on which NVML knows a card.
    Raises UnknownName for another name.
    """
    if asked != "auto":
        _known("device", (asked,), (*DEVICES, "auto"))
        return asked
    if nvml.count() == 0:
        return "cpu"
    asked_of = dict.fromkeys(map(framework_of, frameworks))
    return "cuda" if any("cuda" in probe.probe(framework).devices for framework in asked_of) else "cpu"


def weights_seed(weights: str) -> int | None:
    """N of `seed:N`; None if `weights` is a file. Raises UsageError if N is no whole number from 0 up."""
    kind, colon, number = weights.partition(":")
    if kind != "seed" or not colon:
        return None
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"weights '{weights}': expected seed:N with a whole number N from 0 up, or a safetensors file")
    return int(number)


def _check_names(selection: Selection) -> None:
    _known("framework", selection.frameworks, IMPLEMENTATIONS)
    _known("model", selection.models, SUBJECTS)
    _known("scenario", selection.scenarios, SCENARIOS)
    _known("precision", selection.precisions, PRECISIONS)
    if not selection.variants:
        raise UsageError("no variant is selected: name at least one, such as default")
    if selection.resolutions == ():
        raise UsageError("no resolution is selected: name at least one, or none at all for each model's own")


def _check_recipes(selection: Selection, device: str) -> None:
    if not selection.recipes:
        _known("recipe", (), RECIPES)
    for framework, name in itertools.product(selection.frameworks, selection.recipes):
        check_recipe(framework, name, device)


def check_recipe(framework: str, name: str, device: str) -> None:
    """Raises UnknownName or InvalidConfiguration for what is no recipe of this framework or contender.

    A contender takes the names alone: what they stand for there is not ours to choose.
    """
    if framework in CONTENDERS:
        _known("recipe", (name,), RECIPES)
    else:
        recipe(framework, name, device)


def _check_numbers(selection: Selection) -> None:
    for batch in (*(selection.batches or ()), selection.max_batch):
        if batch < 1:
            raise UsageError(f"batch {batch}: a step takes at least 1 image; give a whole number from 1 up")
    if selection.seed < 0:
        raise UsageError(f"seed {selection.seed}: expected a whole number from 0 up")
    _check_batches(selection)
    bound = selection.latency_bound_s
    if bound is not None and not bound > 0:
        raise UsageError(f"latency bound {bound} s: expected a number of seconds above 0")
    if bound is not None and "server" not in selection.scenarios:
        raise UsageError(f"latency bound {bound} s: only scenario server has one; select it, or leave the bound out")


def _check_batches(selection: Selection) -> None:
    if selection.sweep and selection.batches is not None:
        raise UsageError(
            f"batch {_listed(selection.batches)} beside a sweep: a sweep takes batches 1, 2, 4, …; "
            "give its largest as max_batch, or no sweep"
        )
    for scenario in selection.scenarios:
        if selection.sweep and scenario != "offline":
            raise UsageError(f"a sweep over batches in scenario {scenario}: only offline has batches to sweep")
        if scenario in ONE_IMAGE and selection.batches not in (None, (1,)):
            raise UsageError(
                f"batch {_listed(selection.batches or ())} in scenario {scenario}: its queries are one image each; "
                "leave the batch out"
            )
    if selection.batches == ():
        raise UsageError("no batch is selected: name at least one, such as 8")


def _batches(selection: Selection, scenario: str) -> tuple[int, ...]:
    if selection.sweep:
        return tuple(2**n for n in range(selection.max_batch.bit_length()))
    return selection.batches or ((1,) if scenario in ONE_IMAGE else BATCHES)


def _listed(batches: Sequence[int]) -> str:
    return ",".join(map(str, batches))


def _check_weights(selection: Selection) -> None:
    if weights_seed(selection.weights) is not None:
        return
    if not Path(selection.weights).is_file():
        raise UsageError(
            f"weights '{selection.weights}': there is no such file; expected seed:N or a safetensors file, "
            "`xibench weights init MODEL` writes one"
        )
    for model, variant in itertools.product(selection.models, selection.variants):
        for pixels in _resolutions(model, variant, selection.resolutions):
            check_file(network(model, variant, resolution=pixels), selection.weights)


def _known(kind: str, names: Sequence[str], known: Iterable[str]) -> None:
    known = tuple(known)
    if not names:
        raise UsageError(f"no {kind} is selected: name at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UnknownName(kind, name, known)


def _resolutions(model: str, variant: str, asked: tuple[int, ...] | None) -> tuple[int, ...]:
    if asked is None:
        return (network(model, variant).input_shape[0],)
    return tuple(network(model, variant, resolution=pixels).input_shape[0] for pixels in asked)
