"""The limits of SAME_OUTPUT lie between the outputs of two implementations and those of a network with a mistake."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.api import find, load
from frameworks.architectures import network
from frameworks.blueprint import Network
from frameworks.recipes import Precision
from frameworks.task import INFER, Batch
from frameworks.weights import Weights, resolve
from xibench.analysis.mistakes import MISTAKES, Mistake
from xibench.record.pairs import SAME_OUTPUT
from xibench.run.gate import rms_error

RESOLUTION = 96
MODELS = ("xception", "inception_v3")
SEEDED = [mistake for mistake in MISTAKES if not mistake.training]
BELOW_BF16 = ("batch-norm epsilon 1e-5 instead of 1e-3",)
"""Mistakes that change the logits by no more than rounding to bf16 does (docs/decisions.md)."""


@cache
def correct(model: str) -> tuple[Network, Weights]:
    built = network(model, "narrow", resolution=RESOLUTION)
    return built, resolve(built, 0)


@cache
def logits_of(model: str, framework: str, precision: Precision) -> NDArray[np.floating[Any]]:
    return logits(*correct(model), framework, precision)


def logits(built: Network, weights: Weights, framework: str, precision: Precision) -> NDArray[np.floating[Any]]:
    """The logits of one image, which is the same for every network, as `ab` compares them."""
    image = np.random.default_rng(0).uniform(-1, 1, (1, RESOLUTION, RESOLUTION, 3)).astype(np.float32)
    execution = find(framework).execution("default", precision, "cpu")
    program = load(framework).prepare(built, weights, execution, INFER)
    batch = program.put(Batch(image))
    program.compile(batch)
    output = program.step(batch)
    program.synchronise(output)
    return np.asarray(program.result(output)["logits"][0], dtype=np.float64)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("precision", "margin"), [("fp64", 1000), ("fp32", 10)])
def test_two_implementations_stay_far_below_the_limit(model: str, precision: Precision, margin: float) -> None:
    error = rms_error(logits_of(model, "pytorch", precision), logits_of(model, "reference", precision))
    assert error < SAME_OUTPUT[precision] / margin


@pytest.mark.parametrize("model", MODELS)
def test_rounding_to_bf16_stays_below_the_limit(model: str) -> None:
    """Compared with fp32; two implementations in bf16 differ by at most twice as much."""
    error = rms_error(logits_of(model, "pytorch", "bf16"), logits_of(model, "pytorch", "fp32"))
    assert error < SAME_OUTPUT["bf16"] / 2


@pytest.mark.parametrize("mistake", SEEDED, ids=lambda mistake: mistake.name)
def test_every_seeded_mistake_exceeds_the_limits_except_in_bf16_what_rounding_hides(mistake: Mistake) -> None:
    wrong = logits(*mistake.make(*correct(mistake.model)), "pytorch", "fp32")
    error = rms_error(wrong, logits_of(mistake.model, "reference", "fp32"))
    hidden = ["bf16"] if mistake.name in BELOW_BF16 else []
    assert [precision for precision in get_args(Precision) if error <= SAME_OUTPUT[precision]] == hidden
    assert error > 50 * SAME_OUTPUT["fp32"]
