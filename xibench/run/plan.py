"""From a selection of names to cases, and the presets. All checks happen here, before anything runs.

Imports no framework.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, cast

import msgspec

from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, framework_of
from frameworks.api import find as find_framework
from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network
from frameworks.cost import ITEM_BYTES, cost
from frameworks.errors import UnknownName
from frameworks.recipes import DEVICES, PRECISIONS, RECIPES, Execution
from frameworks.weights import check_file
from xibench.errors import UsageError
from xibench.measure import nvml
from xibench.measure.memory import worker_limit_bytes
from xibench.record.format import size
from xibench.record.schema import DEFAULT_SCENARIO, Case, Device, Precision, SamplingConfig, Status
from xibench.record.text import escaped
from xibench.scenarios import SCENARIOS, find
from xibench.scenarios.scenario import DEFAULT_BATCH
from xibench.workers import probe
from xibench.workers.inputs import NOISE

TASK: Final = "infer"  # the task of every case


@dataclass(frozen=True, slots=True)
class Selection:
    """Names; each of their combinations is a case."""

    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)  # of IMPLEMENTATIONS
    models: tuple[str, ...] = tuple(name for name, model in MODELS.items() if model.main)  # networks and operators
    variants: tuple[str, ...] = ("default",)
    scenarios: tuple[str, ...] = (DEFAULT_SCENARIO,)
    recipes: tuple[str, ...] = ("default",)
    precisions: tuple[str, ...] = ("fp32",)
    batches: tuple[int, ...] | None = None  # None: each scenario's own: 8, or 1 if queries are single images
    sweep: bool = False  # batches double from 1 up to max_batch, until one runs out of memory
    max_batch: int = 1024
    resolutions: tuple[int, ...] | None = None  # None: each model's own
    device: str = "auto"  # auto, cpu, cuda
    weights: str = "seed:0"  # seed:N or the path of a safetensors file
    images: str = "sample"  # sample, noise, or a folder; operators get noise
    seed: int = 0
    latency_bound_s: float | None = None  # of scenarios that take one; None: a multiple of a single query's latency


class Preset(msgspec.Struct, frozen=True):
    """Named selections, with the sampling configuration that keeps them within the preset's intended time."""

    name: str
    purpose: str
    selections: tuple[Selection, ...]
    sampling: SamplingConfig


PRESETS: Final[Mapping[str, Preset]] = {
    "quick": Preset(
        "quick",
        "a newcomer's first five minutes: every framework and network on one image, default against tuned",
        (Selection(recipes=("default", "tuned"), batches=(1,)),),
        SamplingConfig(
            repeats=0, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=4.0, min_steps=3, max_steps=100,
            budget_s=2.0, time_limit_s=120.0, total_budget_s=240.0,
        ),
    ),
    "nightly": Preset(
        "nightly",
        "the regression job: inference at batch 1 and 8, default and tuned, fp32 and tuned bf16, 3 processes a case",
        (
            Selection(recipes=("default", "tuned"), batches=(1, 8)),
            Selection(recipes=("tuned",), precisions=("bf16",), batches=(1, 8)),
        ),
        SamplingConfig(
            processes=3, repeats=1, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3,
            max_steps=200, budget_s=4.0, time_limit_s=180.0,
        ),
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        UnknownName: no preset has this name; the message gives the nearest names.
    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]


def cases(*selections: Selection) -> tuple[Case, ...]:
    """Return every combination of each selection, in the order of the selections and each once.

    Within a selection the framework varies fastest.

    Raises:
        UnknownName: a framework, model, variant, scenario, recipe, choice of a recipe, precision or device.
        InvalidConfiguration: a resolution that the model cannot take, with the minimum; an invalid value of a choice.
        InvalidWeights: a file that is not safetensors or does not fit every selected network.
        UsageError: invalid batch, sweep, seed, weights or latency bound, or nothing selected.
    """
    planned: list[Case] = []
    for selection in selections:
        _check_values(selection)
        _check_scenarios(selection)
        device = resolve_device(selection.frameworks, selection.device)
        for framework, name in itertools.product(selection.frameworks, selection.recipes):
            IMPLEMENTATIONS[framework].recipe(name, device)

        batches = selection.batches
        if selection.sweep:
            batches = tuple(2**n for n in range(selection.max_batch.bit_length()))
        sizes = [{"resolution": pixels} for pixels in selection.resolutions or ()] or [{}]  # {}: each model's own
        planned += [
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
            for resolution in [network(model, variant, **size).input_shape[0] for size in sizes]
            for scenario in SCENARIOS.values()
            if scenario.name in selection.scenarios
            for precision, batch, recipe, framework in itertools.product(
                selection.precisions,
                batches or (1 if scenario.single_image else DEFAULT_BATCH,),
                selection.recipes,
                selection.frameworks,
            )
        ]
    return tuple(dict.fromkeys(planned))


def sampling_of(selections: Sequence[Selection]) -> SamplingConfig:
    """Return the sampling of a run without a preset: its scenario's; of several, the longest in each field."""
    rules = [find(name).sampling for selection in selections for name in selection.scenarios]
    sampling = rules[0]
    for other in rules[1:]:
        sampling = msgspec.structs.replace(
            sampling,
            processes=max(sampling.processes, other.processes),
            max_steps=max(sampling.max_steps, other.max_steps),
            budget_s=max(sampling.budget_s, other.budget_s),
            half_width=None if None in (sampling.half_width, other.half_width) else sampling.half_width,
            time_limit_s=max(sampling.time_limit_s, other.time_limit_s),
        )
    return sampling


@cache
def execution(case: Case) -> Execution:
    """Return the case's recipe, precision and device, parsed once for all of its processes.

    Raises:
        UnknownName, InvalidConfiguration: the case's framework has no such recipe.
    """
    return find_framework(case.framework).execution(case.recipe, case.precision, case.device)


def impossible(
    case: Case, memory_limit_bytes: int | None = None, ever: bool = False
) -> tuple[Status, str] | None:
    """Return why a case cannot be measured on this machine, as far as that is known without a process.

    Args:
        case: The case.
        memory_limit_bytes: The user's limit for a worker; None: see `worker_limit_bytes`.
        ever: Whether only a disk that is too small counts, and not one that is too full at the moment: a run that began
            stops at that (`inputs.save_batch`) and can be resumed when there is room.

    Returns:
        The status and the reason of an attempt; None if nothing is known that prevents it.
    """
    described = find_framework(case.framework)
    variants = described.networks
    if variants is not None and case.variant not in variants.get(case.model, ()):
        known = ", ".join(f"{name} ({', '.join(has)})" for name, has in variants.items())
        return "unsupported", f"{case.framework} has no {case.model}, {case.variant}; expected one of {known}"
    if case.precision not in described.precisions:
        expected = " or ".join(described.precisions)
        return "unsupported", f"{case.framework} has no {case.precision}; expected {expected}"
    if case.device not in described.devices:
        expected = " or ".join(described.devices)
        return "unsupported", f"{case.framework} has no device {case.device}; expected {expected}"
    if case.precision == "tf32" and case.device == "cpu":
        return "unsupported", f"{case.framework}: a CPU has no TF32; expected an NVIDIA GPU; use fp32"
    if case.device == "cuda" and nvml.count() == 0 and not nvml.driver_is_loadable():
        return "unsupported", f"{case.framework}: this machine has no NVIDIA driver; expected device cpu"

    # Size: the batch is a file, and every implementation holds it and the output of its largest layer in memory.
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    batch_bytes = 4 * case.batch * math.prod(blueprint.input_shape)
    temporary = tempfile.gettempdir()
    disk = shutil.disk_usage(temporary)
    if batch_bytes > (disk.total if ever else disk.free):
        room = f"{size(batch_bytes)} on disk, {size(disk.free)} are free in {temporary}"
        return "unsupported", f"its batch takes {room}; choose a smaller batch or resolution, or a folder in TMPDIR"
    if case.device == "cpu":
        largest = max(math.prod(layer.output_shape) for layer in cost(blueprint).layers)
        min_bytes = batch_bytes + ITEM_BYTES[case.precision] * case.batch * largest
        limit_bytes = worker_limit_bytes(memory_limit_bytes)
        if min_bytes > limit_bytes:
            return "out_of_memory", (
                f"not tried: its batch and the output of its largest layer alone take {size(min_bytes)}, "
                f"more than the limit of {size(limit_bytes)}"
            )
    return None


def require_possible(cases: Sequence[Case], memory_limit_bytes: int | None = None) -> None:
    """Raise UsageError if none of the cases can be measured on this machine; see `impossible`."""
    reasons = []
    for case in cases:
        if (known := impossible(case, memory_limit_bytes)) is None:
            return
        reasons.append(known[1])
    first = f"{cases[0].framework} {cases[0].model} batch {cases[0].batch} {cases[0].resolution} px: {reasons[0]}"
    others = f"none of the {len(cases)} cases can be measured on this machine; " if len(cases) > 1 else ""
    raise UsageError(f"{others}{first}")


def resolve_device(frameworks: Sequence[str], requested: str) -> Device:
    """Return the device of a run: cpu or cuda. `auto` is cuda if one of the frameworks sees a GPU, else cpu.

    The frameworks are probed, each in a process of its own, only if NVML finds a GPU.

    Raises:
        UnknownName: another name.
    """
    if requested != "auto":
        _known("device", (requested,), (*DEVICES, "auto"))
        return "cuda" if requested == "cuda" else "cpu"
    if nvml.count() == 0:
        return "cpu"
    probed = dict.fromkeys(map(framework_of, frameworks))
    return "cuda" if any("cuda" in probe.probe(framework).devices for framework in probed) else "cpu"


def weights_seed(weights: str) -> int | None:
    """Return N of `seed:N`; None if `weights` is a file.

    Raises:
        UsageError: N is not a whole number from 0 up.
    """
    kind, colon, number = weights.partition(":")
    if kind != "seed" or not colon:
        return None
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"weights '{weights}': expected seed:N with a whole number N from 0 up, or a safetensors file")
    return int(number)


def _check_values(selection: Selection) -> None:
    """Check names, numbers and files, each by itself."""
    _known("framework", selection.frameworks, IMPLEMENTATIONS)
    _known("model", selection.models, NETWORKS)
    _known("scenario", selection.scenarios, SCENARIOS)
    _known("precision", selection.precisions, PRECISIONS)
    if not selection.variants:
        raise UsageError("no variant is selected: name at least one, such as default")
    if selection.resolutions == ():
        raise UsageError("no resolution is selected: name at least one, or none at all for each model's own")

    for option, path in (("images", selection.images), ("weights", selection.weights)):
        if escaped(path) != path:
            raise UsageError(
                f"{option} {path}: its name is not UTF-8, so that a run file cannot name it; rename it, or name a link "
                "to it (`ln -s`)"
            )
    for batch in (*(selection.batches or ()), selection.max_batch):
        if batch < 1:
            raise UsageError(f"batch {batch}: a step takes at least 1 image; give a whole number from 1 up")
    if selection.seed < 0:
        raise UsageError(f"seed {selection.seed}: expected a whole number from 0 up")
    if selection.sweep and selection.batches is not None:
        raise UsageError(
            f"batch {_listed(selection.batches)} beside a sweep: a sweep takes batches 1, 2, 4, …; "
            "give its largest as max_batch, or no sweep"
        )
    if selection.batches == ():
        raise UsageError("no batch is selected: name at least one, such as 8")
    bound = selection.latency_bound_s
    if bound is not None and not bound > 0:
        raise UsageError(f"latency bound {bound} s: expected a number of seconds above 0")
    if not selection.recipes:
        _known("recipe", (), RECIPES)

    # A file of weights has to fit every network.
    if weights_seed(selection.weights) is None:
        if not Path(selection.weights).is_file():
            raise UsageError(
                f"weights '{selection.weights}': there is no such file; expected seed:N or a safetensors file, "
                "`xibench weights init MODEL` writes one"
            )
        for model, variant in itertools.product(selection.models, selection.variants):
            for field in [{"resolution": pixels} for pixels in selection.resolutions or ()] or [{}]:
                check_file(network(model, variant, **field), selection.weights)


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


def _listed(batches: Sequence[int]) -> str:
    return ",".join(map(str, batches))


def _known(kind: str, names: Sequence[str], known: Iterable[str]) -> None:
    known = tuple(known)
    if not names:
        raise UsageError(f"no {kind} is selected: name at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UnknownName(kind, name, known)
