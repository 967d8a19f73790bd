"""Verification that all frameworks compute the same network, as a table of checks (docs/method.md, "Equality").

Every forward pass runs in a worker process of its framework; this process only compares arrays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network
from frameworks.blueprint import min_resolution
from frameworks.errors import InvalidConfiguration, UnknownName
from xibench.analysis.checks import (
    KERAS,
    OURS,
    TOLERANCE,
    Caught,
    Check,
    array_errors,
    compare_inference,
    compare_pair,
    compare_recipes,
    compare_training,
)
from xibench.analysis.mistakes import MISTAKES, Mistake
from xibench.analysis.verify_workers import Workers, gather
from xibench.record.files import ScratchFolder
from xibench.workers.messages import ForwardPass

RESOLUTIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "xception": (71, 128, 150, 224, 299),
    "inception_v3": (75, 128, 150, 224, 299),
}
"""Input sizes in pixels at which the paper's two networks are compared."""
SMALL_RESOLUTION: Final = 112
"""Input size in pixels for variants and comparators: pools and strided convolutions see both even and odd sizes."""
RECIPE_RESOLUTION: Final = 128
MISTAKE_RESOLUTION: Final = 128
MISTAKE_VARIANT: Final = "narrow"
MAX_CONCURRENT_PARTS: Final = 2  # a framework that has finished its part of one continues with the other


class EqualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `verify`."""

    ok: bool  # every check holds, every mistake was detected, and at least two implementations were compared
    checks: list[Check]
    mistakes: list[Caught]
    skipped: list[str]  # one line for each implementation that was not compared, with the reason


Found = tuple[list[Check], list[Caught]]
Part = Callable[[Workers], Found]
"""A part of the verification that runs concurrently with others, with the same workers."""
OnProgress = Callable[[str], None]
"""Called with one line of text as each part of the verification starts."""


def verify(
    models: Sequence[str] | None = None,
    variants: Sequence[str] = ("default",),
    on_progress: OnProgress = lambda line: None,
) -> EqualityReport:
    """Verify that all installed frameworks, the NumPy reference and keras.applications compute the same network.

    Args:
        models: Networks and operators; None for the paper's two networks.
        variants: Variants of each of them; `all` stands for every registered one.
        on_progress: Called with one line of text as each part of the verification starts.

    Raises:
        UnknownName: A model or variant that is not registered.
        XibenchError: A worker failed.
    """
    pairs: list[tuple[str, str]] = []
    for model in models or [name for name, model in MODELS.items() if model.main]:
        if model not in NETWORKS:
            raise UnknownName("model", model, NETWORKS)
        known = NETWORKS[model].variants
        expanded = (name for variant in variants for name in (known if variant == "all" else (variant,)))
        pairs += [(model, variant) for variant in dict.fromkeys(expanded)]
    return verify_networks(pairs, on_progress=on_progress)


def verify_networks(
    networks: Sequence[tuple[str, str]],
    resolutions: Mapping[str, Sequence[int]] = RESOLUTIONS,
    on_progress: OnProgress = lambda line: None,
) -> EqualityReport:
    """Verify networks given as (model, variant) pairs, all with the same worker processes. See `verify`.

    Args:
        networks: Networks and operators, each with a variant.
        resolutions: Input sizes of the paper's two networks, in pixels.
        on_progress: Called with one line of text as each part of the verification starts.

    Raises:
        UnknownName: A model or variant that is not registered.
        InvalidConfiguration: A variant that cannot be built.
        XibenchError: A worker failed.
    """
    parts: list[Part] = []
    for model, variant in networks:
        network(model, variant)  # raises UnknownName or InvalidConfiguration before any worker starts
        if model in RESOLUTIONS and variant == "default":
            parts += _paper_network(model, resolutions[model], on_progress)
        else:
            parts.append(partial(_variant, model, variant, on_progress))
    with (
        ScratchFolder("xibench-verify-") as folder,
        ThreadPoolExecutor(MAX_CONCURRENT_PARTS) as pool,
        Workers((*OURS, KERAS), Path(folder)) as workers,  # closes first, which ends parts that wait for a worker
    ):
        found = gather(pool, [partial(part, workers) for part in parts])
        skipped = list(workers.missing.values())
        compared = sum(name not in workers.missing for name in OURS) > 1
    checks = [check for found_checks, _ in found for check in found_checks]
    caught = [mistake for _, found_mistakes in found for mistake in found_mistakes]
    if not compared:
        skipped.append("nothing was verified: a comparison requires at least two frameworks")
    ok = compared and all(check.ok for check in checks) and all(c.caught for c in caught)
    return EqualityReport(ok=ok, checks=checks, mistakes=caught, skipped=skipped)


def _paper_network(model: str, resolutions: Sequence[int], on_progress: OnProgress) -> list[Part]:
    """Return the parts for one of the paper's two networks: input sizes, recipes, and seeded mistakes."""
    return [
        *(partial(_resolution, model, resolution, on_progress) for resolution in resolutions),
        partial(_recipes, model, on_progress),
        *(partial(_mistakes, model, training, on_progress) for training in (False, True)),
    ]


def _resolution(model: str, resolution: int, on_progress: OnProgress, workers: Workers) -> Found:
    on_progress(f"{model} at {resolution}: inference and training, fp64 and fp32, block by block")
    job = ForwardPass(model=model, resolution=resolution, precision="fp64")
    return compare_inference(workers, job) + compare_training(workers, job, network(model)), []


def _recipes(model: str, on_progress: OnProgress, workers: Workers) -> Found:
    on_progress(f"{model} at {RECIPE_RESOLUTION}: recipes as whole graphs, compared with float64")
    job = ForwardPass(model=model, resolution=RECIPE_RESOLUTION, precision="fp64")
    return compare_recipes(workers, job, network(model)), []


def _variant(model: str, variant: str, on_progress: OnProgress, workers: Workers) -> Found:
    """Check a variant, a comparator or an operator.

    Inference runs at full width, for a comparator also at its own resolution. Training mode and recipes run at a
    quarter of the width, on which none of their possible errors depends; only the training mode of the default variant
    runs at full width, because keras.applications has no other. Training mode takes a larger image where an auxiliary
    classifier needs one.
    """
    built = network(model, variant)
    own = built.input_shape[0]
    if model in OPERATORS:
        on_progress(f"{model}, {variant}: inference and recipes")
        job = ForwardPass(model=model, variant=variant, resolution=own, precision="fp64")
        return compare_inference(workers, job) + compare_recipes(workers, job, built), []
    on_progress(f"{model}, {variant}: inference, training mode and recipes")
    small = max(SMALL_RESOLUTION, min_resolution(built))
    job = ForwardPass(model=model, variant=variant, resolution=small, precision="fp64")
    checks = compare_inference(workers, job)
    if not MODELS[model].main:
        checks += compare_inference(workers, msgspec.structs.replace(job, resolution=own))
    narrow = msgspec.structs.replace(job, variant=_narrowed(model, variant))
    trainable = max(SMALL_RESOLUTION, min_resolution(built, training=True))
    training = msgspec.structs.replace(job if variant == "default" else narrow, resolution=trainable)
    checks += compare_training(workers, training, built)
    return checks + compare_recipes(workers, narrow, built), []


def _narrowed(model: str, variant: str) -> str:
    """Return the variant at a quarter of its widths, or the variant itself if it sets a width or cannot be narrower."""
    if any(part == "narrow" or part.startswith("width=") for part in variant.split("+")):
        return variant
    narrow = "narrow" if variant == "default" else f"narrow+{variant}"
    try:
        network(model, narrow)
    except InvalidConfiguration:
        return variant
    return narrow


def _mistakes(model: str, training: bool, on_progress: OnProgress, workers: Workers) -> Found:
    """Seed every mistake in every framework and compare with the reference; without a mistake all must be equal.

    The network is narrow, which is faster and does not hide any mistake.
    """
    seeded = [m for m in MISTAKES if m.model == model and m.training == training]
    control = _mistake_job(model, training, None)
    correct = workers.ask(OURS, control)
    if len(correct) < 2:
        return [], []
    mode = "training mode" if training else "inference"
    on_progress(f"{model}: {len(seeded)} seeded mistakes in each framework, {mode}")
    what = f"{mode} without a mistake at {MISTAKE_RESOLUTION}"
    checks = [compare_pair(control, what, pair, correct) for pair in itertools.combinations(correct, 2)]
    *names, reference = correct
    caught = []
    for mistake in seeded:
        wrong = workers.ask(tuple(names), _mistake_job(model, training, mistake))
        for name in wrong:
            error = max(array_errors(wrong[name], correct[reference]).values())
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
