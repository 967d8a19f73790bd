"""The passes of `verify` that compare a network in every framework and the reference: inference, training, recipes."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np

from frameworks.api import FRAMEWORKS, REFERENCES
from frameworks.blueprint import Network
from frameworks.third_party import keras_layers
from xibench.analysis.checks import KERAS, OURS, TOLERANCE, Check, check, pair
from xibench.analysis.workers import Workers
from xibench.measure.errors import relative_error, rms_error
from xibench.run.gate import FACTOR
from xibench.workers.messages import ForwardPass


def inference(workers: Workers, job: ForwardPass) -> list[Check]:
    """Every two of OURS, in float32 with keras.applications too; each block starts from the framework's own output."""
    checks = []
    for precision, names in (("fp64", OURS), ("fp32", (*OURS, *_theirs(job)))):
        job = msgspec.structs.replace(job, precision=precision)
        arrays = workers.ask(names, job)
        what = f"inference at {job.resolution}"
        checks += [pair(job, what, two, arrays) for two in itertools.combinations(arrays, 2)]
    return checks


def training(workers: Workers, job: ForwardPass, network: Network) -> list[Check]:
    """Batch statistics, what becomes of the running ones, and dropout (in float64 only: Keras' models have none).

    float64: each block goes on from the framework's own output. float32: the logits likewise, but the blocks all start
    from the float64 output of the block before, so that each is judged by itself (see forward.OFFSET).
    """
    what, logits = f"training mode at {job.resolution}", network.layers[-1].name
    exact = msgspec.structs.replace(job, precision="fp64", training=True)
    arrays = workers.ask(OURS, exact)
    checks = [pair(exact, what, two, arrays) for two in itertools.combinations(arrays, 2)]
    if arrays:
        rounded = msgspec.structs.replace(exact, precision="fp32", dropout=0.0)
        through = workers.ask((*OURS, *_theirs(job)), rounded)
        right = next(iter(arrays.values()))
        blocks = {name: array.astype(np.float32) for name, array in right.items() if array.ndim == 4}
        single = workers.ask(tuple(through), rounded, given=blocks)
        judged = {name: single[name] | {logits: through[name][logits]} for name in through}
        checks += [pair(rounded, what, two, judged) for two in itertools.combinations(judged, 2)]
    return checks


def recipes(workers: Workers, job: ForwardPass, network: Network) -> list[Check]:
    """What a run times, as a whole graph, against the reference's float64 output.

    `default` to the tolerance of its precision, `tuned` likewise in float64; below that its root-mean-square error may
    be FACTOR times that of `default` in the same framework and precision. Through TorchInductor, which
    takes long, in float32 alone: a run holds whatever it times against float64 (xibench.run.gate).
    """
    last = network.layers[-1].name
    exact = workers.ask(tuple(REFERENCES), msgspec.structs.replace(job, precision="fp64"))
    if not exact:
        return []
    reference, right = next((name, arrays[last]) for name, arrays in exact.items())
    checks = []

    def judge(job: ForwardPass, name: str, what: str, error: float, tolerance: float) -> None:
        left, what = f"{name} {job.recipe}", f"{what} at {job.resolution}"
        checks.append(check(job, left, f"{reference} float64", what, {last: error}, tolerance))

    for precision in ("fp64", "fp32", "bf16"):
        plain_job, tuned_job = (
            msgspec.structs.replace(job, precision=precision, recipe=recipe, uncompiled=precision != "fp32")
            for recipe in ("default", "tuned")
        )
        plain, tuned = (workers.ask(tuple(FRAMEWORKS), asked) for asked in (plain_job, tuned_job))
        for name in plain:
            output, rewritten = plain[name][last], tuned[name][last]
            if precision in TOLERANCE:
                judge(plain_job, name, "whole graph", relative_error(output, right), TOLERANCE[precision])
            if precision == "fp64":
                judge(tuned_job, name, "whole graph", relative_error(rewritten, right), TOLERANCE[precision])
            else:
                allowed = FACTOR * rms_error(output, right)
                judge(tuned_job, name, "whole graph, rms", rms_error(rewritten, right), allowed)
    return checks


def _theirs(job: ForwardPass) -> tuple[str, ...]:
    return (KERAS,) if keras_layers.covers(job.model, job.variant) else ()
