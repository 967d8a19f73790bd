"""The job of `verify`'s workers: forward passes of one framework, or of keras.applications."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameworks import architectures
from frameworks.api import FRAMEWORKS, Verifiable, find, load
from frameworks.blueprint import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    Network,
    Parameter,
    infer_auxiliary_shapes,
    infer_shapes,
    parameters,
)
from frameworks.errors import MissingFramework
from frameworks.task import INFER, Batch
from frameworks.weights import Weights, sample
from xibench.analysis.mistakes import MISTAKES
from xibench.measure.phase import PhaseListener
from xibench.workers.messages import ForwardPass, PassWritten, RunForwardPass

Arrays = dict[str, NDArray[np.floating[Any]]]
Raised = tuple[tuple[str, float], ...]
"""Parameters that are raised, and by how much."""

INFERENCE_BATCH: Final = 2
OFFSET: Final = 2.0
"""Standard deviations by which what goes into a ReLU is raised above 0: batch norm's offset or, where the ReLU comes
before the batch norm, the bias of the convolution, whose kernel then sums to 0: no channel's mean is elsewhere.

A deep stack of random convolutions, batch statistics and ReLU around 0 multiplies any difference by a constant at each
layer (Yang et al. 2019, arXiv 1902.08129): in float32 Inception V3's rounding then grows to a visible part of the
logits in every framework alike, Keras too. With most units of a ReLU on it stays small. All checks and the mistakes use
the same weights.
"""
CONV_DEVIATION: Final = 2**0.5
"""Standard deviation of a convolution's outputs for inputs of 1: the seeded kernels are He's. A batch norm's is 1."""
TRAINING_CELLS: Final = 32
"""What batch statistics are taken over, at least: batch x height x width of the smallest batch norm.

No more than needed: TensorFlow sums a batch's statistics in float32 one after another, and the more cells the first
layers have, the further off it is (docs/method.md). The auxiliary classifier, 1 x 1 at its end, is therefore left out.
"""


def run_job(request: RunForwardPass, listener: PhaseListener) -> PassWritten:
    """Writes the arrays of the pass. Raises MissingFramework, otherwise what the framework raises."""
    listener.on_progress("forward pass")
    given = load_arrays(request.given) if request.given else None
    arrays = run(request.implementation, request.forward_pass, given)
    np.savez(request.file, **arrays)  # type: ignore[arg-type]  # the stub's allow_pickle
    return PassWritten()


def load_arrays(file: str) -> Arrays:
    """All arrays of an .npz file."""
    with np.load(file) as stored:
        arrays: Arrays = {name: stored[name] for name in stored.files}
    return arrays


def run(name: str, job: ForwardPass, given: Arrays | None = None) -> Arrays:
    """The arrays of one job: block outputs by name (and running statistics), or of a recipe that of the last block.

    given: block outputs that each next block starts from, instead of what this framework computed.
    """
    right, weights, batch, masks = subject(job)
    network = right
    if job.mistake:
        mistake = next(m for m in MISTAKES if m.name == job.mistake)
        network, weights = mistake.make(right, weights)
    if name == "keras":
        return _keras(network, weights, batch, job, given)
    if job.recipe:
        return {network.layers[-1].name: _recipe(name, network, weights, batch, job)}
    implementation = load(name)
    if not isinstance(implementation, Verifiable):
        raise MissingFramework(f"{name}: it does not give its blocks' outputs (frameworks.api.Verifiable)")
    return implementation.outputs(network, weights, job.precision, batch, masks, given)


def subject(job: ForwardPass) -> tuple[Network, Weights, NDArray[np.float32], Arrays | None]:
    """What a job is about: the network, its weights, the batch and, for training, what dropout keeps. All seeded."""
    network = architectures.network(job.model, job.variant, resolution=job.resolution)
    if any(isinstance(p.layer, Dropout) for p in infer_shapes(network)):
        network = architectures.network(job.model, job.variant, resolution=job.resolution, dropout=job.dropout)
    weights = _weights(parameters(network), _raised(network), job.seed)
    random = np.random.default_rng(job.seed)
    count = _training_batch(network) if job.training else INFERENCE_BATCH
    batch = pictures(random, count, network.input_shape)
    return network, weights, batch, _masks(network, random, count, job.dropout) if job.training else None


def _masks(network: Network, random: np.random.Generator, count: int, rate: float) -> Arrays:
    return {
        p.path: (random.uniform(size=(count, *p.output_shape)) >= rate).astype(np.float32)
        for p in infer_shapes(network)
        if isinstance(p.layer, Dropout)
    }


@functools.lru_cache(maxsize=2)
def _weights(wanted: tuple[Parameter, ...], raised: Raised, seed: int) -> Weights:
    """By parameters, not by network: those of other resolutions and dropout rates are the same."""
    values = sample(wanted, seed)
    for name, by in raised:
        values[name] = values[name] + np.float32(by)
        if name.endswith(".bias"):
            kernel = values[name.removesuffix("bias") + "kernel"]
            kernel -= kernel.mean((0, 1, 2))
    return values


def _raised(network: Network) -> Raised:
    """Which parameters OFFSET raises, and by how much."""
    placed = [*infer_shapes(network), *infer_auxiliary_shapes(network)]
    before = {
        norm.path: conv.path
        for conv, between, norm in zip(placed, placed[1:], placed[2:], strict=False)
        if isinstance(conv.layer, Conv) and isinstance(between.layer, Activation) and isinstance(norm.layer, BatchNorm)
    }
    norms = [p.path for p in placed if isinstance(p.layer, BatchNorm)]
    return tuple(
        (f"{before[path]}.bias", OFFSET * CONV_DEVIATION) if path in before else (f"{path}.offset", OFFSET)
        for path in norms
    )


def pictures(random: np.random.Generator, batch: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Seeded pictures in -1..1 with as much contrast at every scale, as photographs have; (batch, *shape).

    White noise would look the same everywhere after a few layers: batch norm then divides by almost nothing, and what
    is compared is rounding.
    """
    resolution, _, channels = shape
    total = np.zeros((batch, *shape))
    cell = 1
    while cell <= resolution:
        cells = -(-resolution // cell)
        squares = random.uniform(-1, 1, (batch, cells, cells, channels)).repeat(cell, axis=1).repeat(cell, axis=2)
        total += squares[:, :resolution, :resolution]
        cell *= 4
    scaled: NDArray[np.float32] = (total / np.abs(total).max()).astype(np.float32)
    return scaled


def _training_batch(network: Network) -> int:
    """The smallest power of two, at least 2, with TRAINING_CELLS values per channel in every batch norm."""
    norms = [p for p in infer_shapes(network) if isinstance(p.layer, BatchNorm)]
    fewest = min((p.output_shape[0] * p.output_shape[1] for p in norms), default=TRAINING_CELLS)
    batch = 2
    while batch * fewest < TRAINING_CELLS:
        batch *= 2
    return batch


def _recipe(
    name: str, network: Network, weights: Weights, batch: NDArray[np.float32], job: ForwardPass
) -> NDArray[np.floating[Any]]:
    recipe = job.recipe or "default"
    described = find(name)
    if job.uncompiled and "compiler" in described.choices and described.choices["compiler"].takes("none"):
        recipe += "+compiler=none"
    execution = described.execution(recipe, job.precision, "cpu")
    program = load(name).prepare(network, weights, execution, INFER)
    placed = program.put(Batch(batch))
    program.compile(placed)
    return program.result(program.step(placed))["logits"]


def _keras(
    network: Network, weights: Weights, batch: NDArray[np.float32], job: ForwardPass, given: Arrays | None
) -> Arrays:
    try:
        from xibench.analysis import keras_outputs

        arrays: Arrays = keras_outputs.outputs(network, weights, batch, job.training, given)
    except ModuleNotFoundError as error:
        cure = FRAMEWORKS["tensorflow"].install
        raise MissingFramework(f"keras: module '{error.name}' is not installed; {cure}") from error
    return arrays
