"""The checks of `verify`: pairwise comparisons of the arrays that implementations compute for one network.

An error is the largest absolute difference between two arrays over the largest magnitude in the right-hand one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from frameworks.api import FRAMEWORKS, REFERENCES
from frameworks.blueprint import Network
from frameworks.third_party import keras_layers
from xibench.analysis.forward import Arrays
from xibench.analysis.verify_workers import Workers
from xibench.run.gate import FACTOR, rms_error
from xibench.workers.messages import ForwardPass

Array = NDArray[np.floating[Any]]

TOLERANCE: Final = {"fp64": 1e-12, "fp32": 1e-5}
OURS: Final = (*FRAMEWORKS, *REFERENCES)
"""All frameworks, and last the NumPy reference that they are compared with."""
KERAS: Final = "keras"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of two implementations of a network.

    If `what` contains rms, the error is the root-mean-square error of the logits, and the tolerance is FACTOR times
    that of recipe `default`.
    """

    model: str
    variant: str
    left: str  # implementation, followed by the recipe if whole graphs are compared
    right: str
    precision: str
    what: str  # inference, training mode or whole graph, and the input resolution
    max_relative_error: float
    tolerance: float
    ok: bool  # max_relative_error <= tolerance
    worst: str  # the array that has max_relative_error
    errors: dict[str, float]  # of each block, the logits and, in training mode, the running statistics


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """One seeded mistake in one framework, compared with another framework that computes the network correctly."""

    mistake: str
    model: str
    framework: str
    max_relative_error: float
    tolerance: float
    caught: bool  # max_relative_error > tolerance


def relative_error(left: Array, right: Array) -> float:
    """Return max |left - right| / max |right|; infinite if the shapes differ or the quotient is not finite."""
    if left.shape != right.shape:
        return float("inf")
    error = float(np.max(np.abs(left.astype(np.float64) - right)) / np.max(np.abs(right)))
    return error if np.isfinite(error) else float("inf")


def array_errors(left: Arrays, right: Arrays) -> dict[str, float]:
    """Return the relative error of each array on the right; it is infinite if the left side has no such array."""
    return {name: relative_error(left[name], right[name]) if name in left else float("inf") for name in right}


def compare_pair(job: ForwardPass, what: str, names: tuple[str, str], arrays: Mapping[str, Arrays]) -> Check:
    """Compare the arrays of two implementations with the tolerance of their precision.

    Args:
        job: The forward pass that both computed.
        what: Description of the comparison, for the check.
        names: Names of the two implementations.
        arrays: The arrays of each implementation, by its name.
    """
    left, right = names
    return _check(job, left, right, what, array_errors(arrays[left], arrays[right]), TOLERANCE[job.precision])


def compare_inference(workers: Workers, job: ForwardPass) -> list[Check]:
    """Compare all pairs of implementations block by block in inference, in float64 and float32.

    Each block starts from the implementation's own output of the previous block. In float32 keras.applications is
    compared too if it has the network.

    Args:
        workers: The workers that run the forward passes.
        job: The network and resolution.
    """
    checks = []
    for precision, names in (("fp64", OURS), ("fp32", (*OURS, *_keras(job)))):
        job = msgspec.structs.replace(job, precision=precision)
        arrays = workers.ask(names, job)
        what = f"inference at {job.resolution}"
        checks += [compare_pair(job, what, pair, arrays) for pair in itertools.combinations(arrays, 2)]
    return checks


def compare_training(workers: Workers, job: ForwardPass, network: Network) -> list[Check]:
    """Compare all pairs of implementations in training mode: batch statistics, updated running statistics, dropout.

    In float64 each block starts from the implementation's own output of the previous block. In float32 this holds only
    for the logits; every block starts from the float64 output of the previous one, so that rounding errors do not
    accumulate over blocks (see forward.OFFSET). Dropout is compared only in float64, because Keras' models have none.

    Args:
        workers: The workers that run the forward passes.
        job: The network and resolution.
        network: The network of the job.
    """
    what, logits = f"training mode at {job.resolution}", network.layers[-1].name
    float64 = msgspec.structs.replace(job, precision="fp64", training=True)
    arrays = workers.ask(OURS, float64)
    checks = [compare_pair(float64, what, pair, arrays) for pair in itertools.combinations(arrays, 2)]
    if arrays:
        float32 = msgspec.structs.replace(float64, precision="fp32", dropout=0.0)
        whole = workers.ask((*OURS, *_keras(job)), float32)
        correct = next(iter(arrays.values()))
        block_inputs = {name: array.astype(np.float32) for name, array in correct.items() if array.ndim == 4}
        blocks = workers.ask(tuple(whole), float32, block_inputs)
        combined = {name: blocks[name] | {logits: whole[name][logits]} for name in whole}
        checks += [compare_pair(float32, what, pair, combined) for pair in itertools.combinations(combined, 2)]
    return checks


def compare_recipes(workers: Workers, job: ForwardPass, network: Network) -> list[Check]:
    """Compare whole graphs, as a run times them, with the float64 output of the reference.

    `default` must meet the tolerance of its precision, and `tuned` that of float64. In lower precisions the
    root-mean-square error of `tuned` may be FACTOR times that of `default` in the same framework and precision.

    In bf16 the weights are those of a run, without forward.OFFSET. Where a convolution is rounded before its bias is
    added, as on a CPU without bf16 instructions, the offset makes half of the squared error the same at all positions
    of a channel, so that it does not average out: TensorFlow's `tuned` then has 3.1 times the error of `default` in
    ResNet-50, and 1.1 times under the weights of a run (docs/decisions.md).

    TorchInductor compiles slowly and is used in float32 only; a run compares everything that it times with float64
    anyway (xibench.run.gate).

    Args:
        workers: The workers that run the forward passes.
        job: The network and resolution.
        network: The network of the job.
    """
    last = network.layers[-1].name
    checks = []

    def add(job: ForwardPass, name: str, what: str, error: float, tolerance: float) -> None:
        left, what = f"{name} {job.recipe}", f"{what} at {job.resolution}"
        checks.append(_check(job, left, f"{reference} float64", what, {last: error}, tolerance))

    for precision in ("fp64", "fp32", "bf16"):
        # The correct output: that of the reference for the weights of this precision.
        job = msgspec.structs.replace(job, shifted=precision != "bf16")
        if precision != "fp32":  # the weights are those of fp64
            outputs = workers.ask(tuple(REFERENCES), msgspec.structs.replace(job, precision="fp64"))
            if not outputs:
                return checks
            reference, correct = next((name, arrays[last]) for name, arrays in outputs.items())

        # Both recipes in every framework.
        default_job, tuned_job = (
            msgspec.structs.replace(job, precision=precision, recipe=recipe, uncompiled=precision != "fp32")
            for recipe in ("default", "tuned")
        )
        default, tuned = (workers.ask(tuple(FRAMEWORKS), each) for each in (default_job, tuned_job))
        for name in default:
            default_output, tuned_output = default[name][last], tuned[name][last]
            if precision in TOLERANCE:
                error = relative_error(default_output, correct)
                add(default_job, name, "whole graph", error, TOLERANCE[precision])
            if precision == "fp64":
                add(tuned_job, name, "whole graph", relative_error(tuned_output, correct), TOLERANCE[precision])
            else:
                max_error = FACTOR * rms_error(default_output, correct)
                add(tuned_job, name, "whole graph, rms", rms_error(tuned_output, correct), max_error)
    return checks


def _check(job: ForwardPass, left: str, right: str, what: str, errors: dict[str, float], tolerance: float) -> Check:
    worst = max(errors, key=lambda name: errors[name])
    return Check(
        model=job.model, variant=job.variant, left=left, right=right, precision=job.precision, what=what, worst=worst,
        errors=errors, max_relative_error=errors[worst], tolerance=tolerance, ok=errors[worst] <= tolerance,
    )  # fmt: skip


def _keras(job: ForwardPass) -> tuple[str, ...]:
    return (KERAS,) if keras_layers.covers(job.model, job.variant) else ()
