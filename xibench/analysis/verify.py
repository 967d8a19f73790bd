"""The proof that all frameworks compute the same network: METHOD "Equality", as a table of checks.

Every pass runs in a process of its framework; this one only compares arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network
from frameworks.blueprint import min_resolution
from frameworks.errors import InvalidConfiguration, UnknownName
from xibench.analysis import passes
from xibench.analysis.checks import KERAS, OURS, TOLERANCE, Caught, Check, array_errors, pair
from xibench.analysis.mistakes import MISTAKES, Mistake
from xibench.analysis.workers import Workers, gather
from xibench.workers.messages import ForwardPass

RESOLUTIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "xception": (71, 128, 150, 224, 299),
    "inception_v3": (75, 128, 150, 224, 299),
}
SMALL_RESOLUTION: Final = 112
"""Of variants and comparators: their pools and strided convolutions then meet even and odd sizes."""
RECIPE_RESOLUTION: Final = 128
MISTAKE_RESOLUTION: Final = 128
MISTAKE_VARIANT: Final = "narrow"
AT_ONCE: Final = 2  # parts of the proof under way: a framework that is done with one goes on to the other


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """ok: every check holds, every mistake was caught, and two frameworks at least were compared."""

    ok: bool
    checks: list[Check]
    mistakes: list[Caught]
    skipped: list[str]


Found = tuple[list[Check], list[Caught]]
Part = Callable[[Workers], Found]
Watch = Callable[[str], None]
Subject = tuple[str, str]
"""A model and a variant of it."""


def verify(
    models: Sequence[str] | None = None,
    variants: Sequence[str] = ("default",),
    watch: Watch = lambda line: None,
) -> Report:
    """Proves equality of all installed frameworks, the reference, and keras.applications where that has the network.

    models: networks and operators; the paper's two networks if none is named. variants: of each of them; `all` stands
    for every one that is registered. watch hears one line per step. Raises UnknownName, or XibenchError if a worker
    dies.
    """
    subjects: list[Subject] = []
    for model in models or [name for name, model in MODELS.items() if model.main]:
        if model not in NETWORKS:
            raise UnknownName("model", model, NETWORKS)
        known = NETWORKS[model].variants
        for variant in dict.fromkeys(name for asked in variants for name in (known if asked == "all" else (asked,))):
            subjects.append((model, variant))
    return prove(subjects, watch=watch)


def prove(
    subjects: Sequence[Subject],
    resolutions: Mapping[str, Sequence[int]] = RESOLUTIONS,
    watch: Watch = lambda line: None,
) -> Report:
    """The same of networks and operators by model and variant, by one set of processes.

    resolutions: input sizes of the paper's two networks.
    """
    parts: list[Part] = []
    for model, variant in subjects:
        network(model, variant)
        main = model in RESOLUTIONS and variant == "default"
        parts += _main(model, resolutions[model], watch) if main else [partial(_other, model, variant, watch)]
    with (
        TemporaryDirectory(prefix="xibench-verify-") as folder,
        ThreadPoolExecutor(AT_ONCE) as pool,
        Workers((*OURS, KERAS), Path(folder)) as workers,  # ends first: a part that waits for a worker ends with it
    ):
        found = gather(pool, [partial(part, workers) for part in parts])
        skipped = list(workers.missing.values())
        compared = sum(name not in workers.missing for name in OURS) > 1
    checks = [check for found_checks, _ in found for check in found_checks]
    caught = [mistake for _, found_mistakes in found for mistake in found_mistakes]
    if not compared:
        skipped.append("nothing was proven: at least two frameworks are needed to compare")
    ok = compared and all(check.ok for check in checks) and all(c.caught for c in caught)
    return Report(ok=ok, checks=checks, mistakes=caught, skipped=skipped)


def _main(model: str, resolutions: Sequence[int], watch: Watch) -> list[Part]:
    """One of the paper's two networks: at several sizes, with recipes and seeded mistakes."""
    return [
        *(partial(_size, model, resolution, watch) for resolution in resolutions),
        partial(_recipes, model, watch),
        *(partial(_mistakes, model, training, watch) for training in (False, True)),
    ]


def _size(model: str, resolution: int, watch: Watch, workers: Workers) -> Found:
    watch(f"{model} at {resolution}: inference and training, fp64 and fp32, block by block")
    job = ForwardPass(model=model, resolution=resolution, precision="fp64")
    return passes.inference(workers, job) + passes.training(workers, job, network(model)), []


def _recipes(model: str, watch: Watch, workers: Workers) -> Found:
    watch(f"{model} at {RECIPE_RESOLUTION}: recipes as whole graphs against float64")
    job = ForwardPass(model=model, resolution=RECIPE_RESOLUTION, precision="fp64")
    return passes.recipes(workers, job, network(model)), []


def _other(model: str, variant: str, watch: Watch, workers: Workers) -> Found:
    """A variant, a comparator or an operator.

    Inference at full width, a comparator's also at its own resolution. Training mode, and recipes, at a quarter of the
    width except for a comparator that keras.applications has: nothing that they could get wrong depends on it.
    """
    built = network(model, variant)
    own = built.input_shape[0]
    if model in OPERATORS:
        watch(f"{model}, {variant}: inference and recipes")
        job = ForwardPass(model=model, variant=variant, resolution=own, precision="fp64")
        return passes.inference(workers, job) + passes.recipes(workers, job, built), []
    watch(f"{model}, {variant}: inference, training mode and recipes")
    small = max(SMALL_RESOLUTION, min_resolution(built))
    job = ForwardPass(model=model, variant=variant, resolution=small, precision="fp64")
    checks = passes.inference(workers, job)
    if not MODELS[model].main:
        checks += passes.inference(workers, msgspec.structs.replace(job, resolution=own))
    narrow = msgspec.structs.replace(job, variant=_narrowed(model, variant))
    checks += passes.training(workers, job if variant == "default" else narrow, built)
    return checks + passes.recipes(workers, narrow, built), []


def _narrowed(model: str, variant: str) -> str:
    """The variant at a quarter of its widths; itself, where it has widths of its own or cannot be narrowed so far."""
    if any(part == "narrow" or part.startswith("width=") for part in variant.split("+")):
        return variant
    narrow = "narrow" if variant == "default" else f"narrow+{variant}"
    try:
        network(model, narrow)
    except InvalidConfiguration:
        return variant
    return narrow


def _mistakes(model: str, training: bool, watch: Watch, workers: Workers) -> Found:
    """Every mistake in every framework, against the reference; and that nothing is caught without one.

    A narrow network shows them as well.
    """
    shown = [m for m in MISTAKES if m.model == model and m.training == training]
    control = _mistake_job(model, training, None)
    right = workers.ask(OURS, control)
    if len(right) < 2:
        return [], []
    mode = "training mode" if training else "inference"
    watch(f"{model}: {len(shown)} seeded mistakes in each framework, {mode}")
    what = f"{mode} without a mistake at {MISTAKE_RESOLUTION}"
    checks = [pair(control, what, two, right) for two in itertools.combinations(right, 2)]
    *names, reference = right
    caught = []
    for mistake in shown:
        wrong = workers.ask(tuple(names), _mistake_job(model, training, mistake))
        for name in wrong:
            error = max(array_errors(wrong[name], right[reference]).values())
            caught.append(Caught(
                mistake=mistake.name, model=model, framework=name, max_relative_error=error,
                tolerance=TOLERANCE["fp64"], caught=error > TOLERANCE["fp64"],
            ))  # fmt: skip
    return checks, caught


def _mistake_job(model: str, training: bool, mistake: Mistake | None) -> ForwardPass:
    return ForwardPass(
        model=model, variant=MISTAKE_VARIANT, resolution=MISTAKE_RESOLUTION, precision="fp64", training=training,
        mistake=mistake.name if mistake else None,
    )  # fmt: skip
