"""The proof that all frameworks compute the same network: METHOD "Equality", as a table of checks.

Every pass runs in a process of its framework; this one only compares arrays. An error is the largest absolute
difference of an array over the largest magnitude in it, of the right-hand side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from frameworks.architectures import MODELS
from frameworks.errors import UnknownName
from frameworks.runtime import FRAMEWORKS
from xibench.analysis.forward import Arrays, Job
from xibench.analysis.mistakes import MISTAKES, Mistake
from xibench.analysis.workers import Workers, gather

TOLERANCE = {"fp64": 1e-12, "fp32": 1e-5}
RESOLUTIONS: Mapping[str, tuple[int, ...]] = {
    "xception": (71, 128, 150, 224, 299),
    "inception_v3": (75, 128, 150, 224, 299),
}
RECIPE_FACTOR = 3.0  # a recipe's error against float64 over that of `default` at the same precision
RECIPE_RESOLUTION = 128
MISTAKE_RESOLUTION = 128
MISTAKE_WIDTH = 0.25
AT_ONCE = 2  # parts of the proof under way: a framework that is done with one goes on to the other
OURS = tuple(FRAMEWORKS)
KERAS = "keras"
LOGITS = "head"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. errors: of each block, the logits, running statistics; worst: whose is max_relative_error.

    Where `what` says rms: root-mean-square error of the logits, and the tolerance is 3 x that of recipe `default`.
    """

    model: str
    left: str
    right: str
    precision: str
    what: str
    max_relative_error: float
    tolerance: float
    ok: bool
    worst: str
    errors: dict[str, float]


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """One seeded mistake in one framework: caught if its error against another, right one exceeds the tolerance."""

    mistake: str
    model: str
    framework: str
    max_relative_error: float
    tolerance: float
    caught: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """ok: every check holds, every mistake was caught, and two frameworks at least were compared."""

    ok: bool
    checks: list[Check]
    mistakes: list[Caught]
    skipped: list[str]


Found = tuple[list[Check], list[Caught]]


def verify(
    models: Sequence[str] | None = None,
    resolutions: Sequence[int] | None = None,
    watch: Callable[[str], None] = lambda line: None,
) -> Report:
    """Proves equality of all installed frameworks, and of keras.applications, for these models (all, if none is named).

    resolutions: input sizes to check instead of RESOLUTIONS. watch hears one line per step. Raises UnknownName, or
    XibenchError if a worker dies.
    """
    chosen = tuple(models or MODELS)
    for model in chosen:
        if model not in MODELS:
            raise UnknownName("model", model, MODELS)
    parts: list[Callable[[Workers], Found]] = []
    for model in chosen:
        parts += [partial(_sizes, model, resolution, watch) for resolution in resolutions or RESOLUTIONS[model]]
        parts.append(partial(_recipes, model, watch))
        parts += [partial(_mistakes, model, training, watch) for training in (False, True)]
    with (
        TemporaryDirectory(prefix="xibench-verify-") as folder,
        ThreadPoolExecutor(AT_ONCE) as pool,
        Workers((*OURS, KERAS), Path(folder)) as workers,  # ends first: a part that waits for a worker ends with it
    ):
        found = gather(pool, [partial(part, workers) for part in parts])
        skipped = list(workers.missing.values())
    checks = [check for found_checks, _ in found for check in found_checks]
    caught = [mistake for _, found_mistakes in found for mistake in found_mistakes]
    if not caught:
        skipped.append("nothing was proven: at least two frameworks are needed to compare")
    ok = bool(caught) and all(check.ok for check in checks) and all(c.caught for c in caught)
    return Report(ok=ok, checks=checks, mistakes=caught, skipped=skipped)


def relative_error(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Max |left - right| / max |right|; infinite for unlike shapes or where it is not a number."""
    if left.shape != right.shape:
        return float("inf")
    error = float(np.max(np.abs(left.astype(np.float64) - right)) / np.max(np.abs(right)))
    return error if np.isfinite(error) else float("inf")


def rms_error(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Root-mean-square of the difference over that of `right`; infinite where it is not a number."""
    error = float(np.sqrt(np.mean((left.astype(np.float64) - right) ** 2) / np.mean(right.astype(np.float64) ** 2)))
    return error if np.isfinite(error) else float("inf")


def array_errors(left: Arrays, right: Arrays) -> dict[str, float]:
    """Relative error of every array of the right-hand side; infinite where the left-hand side has none."""
    return {name: relative_error(left[name], right[name]) if name in left else float("inf") for name in right}


def _sizes(model: str, resolution: int, watch: Callable[[str], None], workers: Workers) -> Found:
    watch(f"{model} at {resolution}: inference and training, fp64 and fp32, block by block")
    return _inference(workers, model, resolution) + _training(workers, model, resolution), []


def _inference(workers: Workers, model: str, resolution: int) -> list[Check]:
    """Every two frameworks, in float32 with keras.applications too; each block goes on from the framework's own."""
    checks = []
    for precision, names in (("fp64", OURS), ("fp32", (*OURS, KERAS))):
        job = Job(model=model, resolution=resolution, precision=precision)  # type: ignore[arg-type]
        arrays = workers.ask(names, job)
        checks += [_pair(job, f"inference at {resolution}", pair, arrays) for pair in itertools.combinations(arrays, 2)]
    return checks


def _training(workers: Workers, model: str, resolution: int) -> list[Check]:
    """Batch statistics, what becomes of the running ones, and dropout (in float64 only: Keras' models have none).

    float64: each block goes on from the framework's own output. float32: the logits likewise, but the blocks all start
    from the float64 output of the block before, so that each is judged by itself (see forward.OFFSET).
    """
    what = f"training mode at {resolution}"
    exact = Job(model=model, resolution=resolution, precision="fp64", training=True)
    arrays = workers.ask(OURS, exact)
    checks = [_pair(exact, what, pair, arrays) for pair in itertools.combinations(arrays, 2)]
    if arrays:
        job = msgspec.structs.replace(exact, precision="fp32", dropout=0.0)
        through = workers.ask((*OURS, KERAS), job)
        right = next(iter(arrays.values()))
        blocks = {name: array.astype(np.float32) for name, array in right.items() if array.ndim == 4}
        single = workers.ask(tuple(through), job, given=blocks)
        judged = {name: single[name] | {LOGITS: through[name][LOGITS]} for name in through}
        checks += [_pair(job, what, pair, judged) for pair in itertools.combinations(judged, 2)]
    return checks


def _pair(job: Job, what: str, names: tuple[str, str], arrays: Mapping[str, Arrays]) -> Check:
    left, right = names
    return _check(job, left, right, what, array_errors(arrays[left], arrays[right]), TOLERANCE[job.precision])


def _recipes(model: str, watch: Callable[[str], None], workers: Workers) -> Found:
    """What a run times, as a whole graph, against float64 logits that a framework computed block by block.

    `default` to the tolerance of its precision, `tuned` likewise in float64; below that its root-mean-square error may
    be RECIPE_FACTOR times that of `default` in the same framework and precision.
    """
    watch(f"{model} at {RECIPE_RESOLUTION}: recipes as whole graphs against float64")
    blocks = workers.ask(OURS, _recipe_job(model, "fp64", None))
    if not blocks:
        return [], []
    reference, right = next((name, arrays[LOGITS]) for name, arrays in blocks.items())
    checks = []

    def check(job: Job, name: str, what: str, error: float, tolerance: float) -> None:
        left, what = f"{name} {job.recipe}", f"{what} at {RECIPE_RESOLUTION}"
        checks.append(_check(job, left, f"{reference} float64", what, {LOGITS: error}, tolerance))

    for precision in ("fp64", "fp32", "bf16"):
        job, tuned_job = (_recipe_job(model, precision, recipe) for recipe in ("default", "tuned"))
        plain, tuned = workers.ask(OURS, job), workers.ask(OURS, tuned_job)
        for name in plain:
            logits, rewritten = plain[name][LOGITS], tuned[name][LOGITS]
            if precision in TOLERANCE:
                check(job, name, "whole graph", relative_error(logits, right), TOLERANCE[precision])
            if precision == "fp64":
                check(tuned_job, name, "whole graph", relative_error(rewritten, right), TOLERANCE[precision])
            else:
                allowed = RECIPE_FACTOR * rms_error(logits, right)
                check(tuned_job, name, "whole graph, rms", rms_error(rewritten, right), allowed)
    return checks, []


def _recipe_job(model: str, precision: str, recipe: str | None) -> Job:
    return Job(model=model, resolution=RECIPE_RESOLUTION, precision=precision, recipe=recipe)  # type: ignore[arg-type]


def _check(job: Job, left: str, right: str, what: str, errors: dict[str, float], tolerance: float) -> Check:
    worst = max(errors, key=lambda name: errors[name])
    return Check(
        model=job.model, left=left, right=right, precision=job.precision, what=what, worst=worst, errors=errors,
        max_relative_error=errors[worst], tolerance=tolerance, ok=errors[worst] <= tolerance,
    )  # fmt: skip


def _mistakes(model: str, training: bool, watch: Callable[[str], None], workers: Workers) -> Found:
    """Every mistake in every framework, against a framework that stays right; and that nothing is caught without one.

    A narrow network shows them as well.
    """
    shown = [m for m in MISTAKES if m.model == model and m.training == training]
    right = workers.ask(OURS, _mistake_job(model, training, None))
    if len(right) < 2:
        return [], []
    mode = "training mode" if training else "inference"
    watch(f"{model}: {len(shown)} seeded mistakes in each framework, {mode}")
    what = f"{mode} without a mistake at {MISTAKE_RESOLUTION}, {MISTAKE_WIDTH:g} x width"
    control = _mistake_job(model, training, None)
    checks = [_pair(control, what, pair, right) for pair in itertools.combinations(right, 2)]
    caught = []
    for mistake in shown:
        wrong = workers.ask(tuple(right), _mistake_job(model, training, mistake))
        for name in wrong:
            other = next(n for n in right if n != name)
            error = max(array_errors(wrong[name], right[other]).values())
            caught.append(Caught(
                mistake=mistake.name, model=model, framework=name, max_relative_error=error,
                tolerance=TOLERANCE["fp64"], caught=error > TOLERANCE["fp64"],
            ))  # fmt: skip
    return checks, caught


def _mistake_job(model: str, training: bool, mistake: Mistake | None) -> Job:
    return Job(
        model=model, resolution=MISTAKE_RESOLUTION, precision="fp64", training=training, width=MISTAKE_WIDTH,
        mistake=mistake.name if mistake else None,
    )  # fmt: skip
