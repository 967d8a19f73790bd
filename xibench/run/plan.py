"""From a selection of names to cases: everything is checked here, before anything runs. Imports no framework."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frameworks.architectures import MODELS, network
from frameworks.cost import cost
from frameworks.errors import UnknownName
from frameworks.runtime import DEVICES, FRAMEWORKS, PRECISIONS, RECIPES
from frameworks.weights import check_file
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.record.schema import Case, Costs, Rule
from xibench.run import probe


@dataclass(frozen=True, slots=True)
class Selection:
    """Names whose every combination is a case."""

    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)
    models: tuple[str, ...] = tuple(MODELS)
    variants: tuple[str, ...] = ("default",)
    recipes: tuple[str, ...] = ("default",)
    precisions: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] = (8,)
    resolutions: tuple[int, ...] | None = None  # None: each model's own
    device: str = "auto"  # auto, cpu, cuda
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or a folder
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """A selection with a name and the rule that makes it end in the time that it promises."""

    name: str
    purpose: str
    selection: Selection
    rule: Rule


PRESETS: Mapping[str, Preset] = {
    "quick": Preset(
        "quick",
        "a newcomer's first five minutes: every framework and network at batch 8, default against tuned",
        Selection(recipes=("default", "tuned")),
        Rule(warmup_steps=2, min_steps=5, max_steps=100, budget_s=6.0, time_limit_s=120.0),
    ),
}


def preset(name: str) -> Preset:
    """A preset by name. Raises UnknownName with the nearest names."""
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]


def cases(selection: Selection) -> tuple[Case, ...]:
    """Every combination once. The framework varies fastest, so that what is compared is measured close together.

    Raises UnknownName (framework, model, variant, recipe, precision, device), InvalidConfiguration (a resolution that
    the model cannot take, with the least that works), InvalidWeights (a file that is none or does not fit every
    selected network) or UsageError (batch, seed, weights, nothing selected).
    """
    _check_names(selection)
    _check_weights(selection)
    device = resolve_device(selection.frameworks, selection.device)
    planned = [
        Case(
            framework=framework,
            model=model,
            variant=variant,
            recipe=recipe,
            precision=precision,
            batch=batch,
            resolution=resolution,
            device=device,
            weights=selection.weights,
            images=selection.images,
            seed=selection.seed,
        )
        for model, variant in itertools.product(selection.models, selection.variants)
        for resolution in _resolutions(model, variant, selection.resolutions)
        for precision, batch, recipe, framework in itertools.product(
            selection.precisions, selection.batches, selection.recipes, selection.frameworks
        )
    ]
    return tuple(dict.fromkeys(planned))


def costs(case: Case) -> Costs:
    """What one step of the case costs, from its blueprint."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    total = cost(blueprint, batch=case.batch, precision=case.precision)
    return Costs(
        parameters_trainable=total.parameters_trainable,
        parameters_total=total.parameters_total,
        macs=total.macs,
        activations=total.activations,
        bytes_moved=total.bytes_moved,
    )


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
    return "cuda" if any("cuda" in probe.probe(framework).devices for framework in frameworks) else "cpu"


def weights_seed(weights: str) -> int | None:
    """N of `seed:N`; None if `weights` is a file. Raises UsageError if N is no whole number from 0 up."""
    kind, colon, number = weights.partition(":")
    if kind != "seed" or not colon:
        return None
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"weights '{weights}': expected seed:N with a whole number N from 0 up, or a safetensors file")
    return int(number)


def _check_names(selection: Selection) -> None:
    _known("framework", selection.frameworks, FRAMEWORKS)
    _known("model", selection.models, MODELS)
    _known("recipe", selection.recipes, RECIPES)
    _known("precision", selection.precisions, PRECISIONS)
    if not selection.variants:
        raise UsageError("no variant is selected: name at least one, such as default")
    if selection.resolutions == ():
        raise UsageError("no resolution is selected: name at least one, or none at all for each model's own")
    if not selection.batches:
        raise UsageError("no batch is selected: name at least one, such as 8")
    for batch in selection.batches:
        if batch < 1:
            raise UsageError(f"batch {batch}: a step takes at least 1 image; give a whole number from 1 up")
    if selection.seed < 0:
        raise UsageError(f"seed {selection.seed}: expected a whole number from 0 up")


def _check_weights(selection: Selection) -> None:
    if weights_seed(selection.weights) is not None:
        return
    if not Path(selection.weights).is_file():
        raise UsageError(
            f"weights '{selection.weights}': there is no such file; expected seed:N or a safetensors file, "
            "`xibench weights init MODEL` writes one"
        )
    for model, variant in itertools.product(selection.models, selection.variants):
        check_file(network(model, variant), selection.weights)


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
