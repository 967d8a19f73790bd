"""From a selection of names to cases: everything is checked here, before anything runs. Imports no framework."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, cast

from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, framework_of
from frameworks.api import find as find_framework
from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network
from frameworks.errors import UnknownName
from frameworks.recipes import DEVICES, PRECISIONS, RECIPES, Execution
from frameworks.weights import check_file
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.record.schema import DEFAULT_SCENARIO, Case, Device, Precision
from xibench.scenarios import SCENARIOS, Scenario, find
from xibench.workers import probe
from xibench.workers.inputs import NOISE

TASK: Final = "infer"  # what one step of every case computes


@dataclass(frozen=True, slots=True)
class Selection:
    """Names whose every combination is a case."""

    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)  # of IMPLEMENTATIONS
    models: tuple[str, ...] = tuple(name for name, model in MODELS.items() if model.main)  # networks and operators
    variants: tuple[str, ...] = ("default",)
    scenarios: tuple[str, ...] = (DEFAULT_SCENARIO,)
    recipes: tuple[str, ...] = ("default",)
    precisions: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] | None = None  # None: each scenario's own: 8, or 1 where queries are one image each
    sweep: bool = False  # batches double from 1 up to max_batch, until one runs out of memory
    max_batch: int = 1024
    resolutions: tuple[int, ...] | None = None  # None: each model's own
    device: str = "auto"  # auto, cpu, cuda
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or a folder; operators get noise
    seed: int = 0
    latency_bound_s: float | None = None  # of scenarios that take it; None: a multiple of a query's time alone


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
    _check_scenarios(selection)
    _check_weights(selection)
    device = resolve_device(selection.frameworks, selection.device)
    _check_recipes(selection, device)
    planned = [
        Case(
            framework=framework,
            model=model,
            variant=variant,
            scenario=scenario.name,
            recipe=recipe,
            precision=cast("Precision", precision),  # one of PRECISIONS: checked above
            batch=batch,
            resolution=resolution,
            device=device,
            weights=selection.weights,
            images=NOISE if model in OPERATORS else selection.images,
            seed=selection.seed,
            latency_bound_s=selection.latency_bound_s if "latency_bound_s" in scenario.options else None,
        )
        for model, variant in itertools.product(selection.models, selection.variants)
        for resolution in _resolutions(model, variant, selection.resolutions)
        for scenario in SCENARIOS.values()
        if scenario.name in selection.scenarios
        for precision, batch, recipe, framework in itertools.product(
            selection.precisions, _batches(selection, scenario), selection.recipes, selection.frameworks
        )
    ]
    return tuple(dict.fromkeys(planned))


@cache
def execution(case: Case) -> Execution:
    """How the case runs: its recipe, precision and device, parsed once for all of its processes.

    Raises UnknownName or InvalidConfiguration for what is no recipe of the case's framework.
    """
    return find_framework(case.framework).execution(case.recipe, case.precision, case.device)


def resolve_device(frameworks: Sequence[str], asked: str) -> Device:
    """The device of a run: cpu or cuda. `auto` is cuda where a framework sees a card, else cpu.

    Frameworks are asked, each in a process of its own, only on a machine on which NVML knows a card.
    Raises UnknownName for another name.
    """
    if asked != "auto":
        _known("device", (asked,), (*DEVICES, "auto"))
        return "cuda" if asked == "cuda" else "cpu"
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
    _known("model", selection.models, NETWORKS)
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
        IMPLEMENTATIONS[framework].recipe(name, device)


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


def _check_scenarios(selection: Selection) -> None:
    """Check the options of the selection against what its scenarios take."""
    chosen = [find(name) for name in selection.scenarios]
    for scenario in chosen:
        if TASK not in scenario.tasks:
            raise UsageError(f"scenario {scenario.name} with task {TASK}: it applies to {', '.join(scenario.tasks)}")
        if selection.sweep and not scenario.sweepable:
            others = " and ".join(other.name for other in SCENARIOS.values() if other.sweepable)
            raise UsageError(f"a sweep over batches in scenario {scenario.name}: only {others} has batches to sweep")
        if scenario.single_image and selection.batches not in (None, (1,)):
            raise UsageError(
                f"batch {_listed(selection.batches or ())} in scenario {scenario.name}: its queries are one image "
                "each; leave the batch out"
            )
    bound = selection.latency_bound_s
    if bound is not None and not any("latency_bound_s" in scenario.options for scenario in chosen):
        others = " and ".join(other.name for other in SCENARIOS.values() if "latency_bound_s" in other.options)
        raise UsageError(f"latency bound {bound} s: only scenario {others} has one; select it, or leave the bound out")


def _check_batches(selection: Selection) -> None:
    if selection.sweep and selection.batches is not None:
        raise UsageError(
            f"batch {_listed(selection.batches)} beside a sweep: a sweep takes batches 1, 2, 4, …; "
            "give its largest as max_batch, or no sweep"
        )
    if selection.batches == ():
        raise UsageError("no batch is selected: name at least one, such as 8")


def _batches(selection: Selection, scenario: Scenario) -> tuple[int, ...]:
    if selection.sweep:
        return tuple(2**n for n in range(selection.max_batch.bit_length()))
    return selection.batches or (scenario.default_batch,)


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
