"""The job of the workers of `verify`: forward passes of one framework or of keras.applications."""

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
Shifts = tuple[tuple[str, float], ...]
"""Names of parameters and the constants that are added to them."""

INFERENCE_BATCH: Final = 2
OFFSET: Final = 2.0
"""Mean of the input of every ReLU, in standard deviations.

It is set through the offset of the batch norm before the ReLU or, where the ReLU comes between a convolution and its
batch norm, through the bias of the convolution, whose kernel is then shifted to sum to 0 so that the mean of every
channel is the bias.

A deep stack of random convolutions, batch statistics and ReLUs with inputs around 0 multiplies any difference by a
constant at each layer (Yang et al. 2019, arXiv 1902.08129): in float32 the rounding errors of Inception V3 then grow to
a visible part of the logits in every framework, Keras included. They stay small if most units of a ReLU are active. All
checks and the seeded mistakes use these weights, except those of recipes in bf16 (checks.compare_recipes).
"""
CONV_DEVIATION: Final = 2**0.5
"""Standard deviation of a convolution's outputs for inputs with standard deviation 1: seeded kernels use He's
initialisation. That of a batch norm's outputs is 1.
"""
MIN_STATISTICS_VALUES: Final = 32
"""Minimum number of values per channel over which a batch norm computes its statistics: batch x height x width.

It is no larger than necessary: TensorFlow adds up the statistics of a batch in float32 one value after another, and its
error grows with the number of values in the first layers (docs/method.md). The auxiliary classifier, whose last feature
map is 1 x 1, is therefore not compared in training mode.
"""


def run_job(request: RunForwardPass, listener: PhaseListener) -> PassWritten:
    """Run the requested forward pass and write its arrays to the request's file.

    Args:
        request: The implementation, the forward pass, and the files.
        listener: Receives the progress of the job.

    Raises:
        MissingFramework: The implementation is not installed, or does not expose the outputs of its blocks.
    """
    listener.on_progress("forward pass")
    block_inputs = load_arrays(request.block_inputs) if request.block_inputs else None
    arrays = run(request.implementation, request.forward_pass, block_inputs)
    np.savez(request.file, **arrays)  # type: ignore[arg-type]  # the stub's allow_pickle
    return PassWritten()


def load_arrays(file: str) -> Arrays:
    """Load all arrays of an .npz file."""
    with np.load(file) as stored:
        arrays: Arrays = {name: stored[name] for name in stored.files}
    return arrays


def run(name: str, job: ForwardPass, block_inputs: Arrays | None = None) -> Arrays:
    """Run a forward pass in this process.

    Args:
        name: Name of a framework, or `keras` for keras.applications.
        job: The forward pass.
        block_inputs: Block outputs, by block name, from which each next block starts instead of from this
            implementation's own.

    Returns:
        Block outputs by block name, and the updated running statistics in training mode. For a job with a recipe only
        the output of the last block.

    Raises:
        MissingFramework: The implementation is not installed, or does not expose the outputs of its blocks.
    """
    network, weights, batch, masks = seeded_inputs(job)
    if job.mistake:
        mistake = next(m for m in MISTAKES if m.name == job.mistake)
        network, weights = mistake.make(network, weights)
    if name == "keras":
        return _keras(network, weights, batch, job, block_inputs)
    if job.recipe:
        return {network.layers[-1].name: _recipe(name, network, weights, batch, job)}
    implementation = load(name)
    if not isinstance(implementation, Verifiable):
        raise MissingFramework(
            f"{name}: it does not expose the outputs of its blocks; implement frameworks.api.Verifiable"
        )
    return implementation.outputs(network, weights, job.precision, batch, masks, block_inputs)


def seeded_inputs(job: ForwardPass) -> tuple[Network, Weights, NDArray[np.float32], Arrays | None]:
    """Build the inputs of a forward pass, all of them determined by the job and its seed.

    Returns:
        The network; its weights; a batch of images, (batch, height, width, channels); and the dropout masks by layer
        path in training mode, otherwise None.
    """
    network = architectures.network(job.model, job.variant, resolution=job.resolution)
    if any(isinstance(p.layer, Dropout) for p in infer_shapes(network)):
        network = architectures.network(job.model, job.variant, resolution=job.resolution, dropout=job.dropout)
    weights = _weights(parameters(network), _shifts(network) if job.shifted else (), job.seed)
    random = np.random.default_rng(job.seed)
    count = _training_batch(network) if job.training else INFERENCE_BATCH
    batch = random_images(random, count, network.input_shape)
    return network, weights, batch, _masks(network, random, count, job.dropout) if job.training else None


def _masks(network: Network, random: np.random.Generator, count: int, rate: float) -> Arrays:
    """Return for every dropout layer an array that is 1 where a value is kept and 0 where it is dropped."""
    return {
        p.path: (random.uniform(size=(count, *p.output_shape)) >= rate).astype(np.float32)
        for p in infer_shapes(network)
        if isinstance(p.layer, Dropout)
    }


@functools.lru_cache(maxsize=2)
def _weights(declared: tuple[Parameter, ...], shifts: Shifts, seed: int) -> Weights:
    """Sample weights and shift them.

    The cache is keyed by parameters instead of the network, because networks that differ only in resolution or dropout
    rate have the same weights.
    """
    values = sample(declared, seed)
    for name, shift in shifts:
        values[name] = values[name] + np.float32(shift)
        if name.endswith(".bias"):
            kernel = values[name.removesuffix("bias") + "kernel"]
            kernel -= kernel.mean((0, 1, 2))
    return values


def _shifts(network: Network) -> Shifts:
    """Return the parameters that give the inputs of every ReLU the mean OFFSET, and the constants to add to them."""
    instances = [*infer_shapes(network), *infer_auxiliary_shapes(network, enlarge=True)]
    # Batch norms that follow the ReLU of a convolution -> that convolution.
    conv_of_norm = {
        norm.path: conv.path
        for conv, between, norm in zip(instances, instances[1:], instances[2:], strict=False)
        if isinstance(conv.layer, Conv) and isinstance(between.layer, Activation) and isinstance(norm.layer, BatchNorm)
    }
    norms = [p.path for p in instances if isinstance(p.layer, BatchNorm)]
    return tuple(
        (f"{conv_of_norm[path]}.bias", OFFSET * CONV_DEVIATION) if path in conv_of_norm else (f"{path}.offset", OFFSET)
        for path in norms
    )


def random_images(random: np.random.Generator, batch: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Generate images with equal contrast at every scale, which natural images have, too.

    White noise would have nearly constant feature maps after a few layers: batch norm would divide by almost 0, and the
    comparison would be one of rounding errors.

    Args:
        random: Generator of the noise.
        batch: Number of images.
        shape: (height, width, channels) with equal height and width.

    Returns:
        Values in -1..1, (batch, height, width, channels).
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
    """Return the smallest power of two, at least 2, with MIN_STATISTICS_VALUES per channel in every batch norm."""
    norms = [p for p in infer_shapes(network) if isinstance(p.layer, BatchNorm)]
    smallest = min((p.output_shape[0] * p.output_shape[1] for p in norms), default=MIN_STATISTICS_VALUES)
    batch = 2
    while batch * smallest < MIN_STATISTICS_VALUES:
        batch *= 2
    return batch


def _recipe(
    name: str, network: Network, weights: Weights, batch: NDArray[np.float32], job: ForwardPass
) -> NDArray[np.floating[Any]]:
    """Return the logits of the whole graph that a recipe runs, (batch, classes)."""
    recipe = job.recipe or "default"
    described = find(name)
    if job.uncompiled and "compiler" in described.choices and described.choices["compiler"].takes("none"):
        recipe += "+compiler=none"
    execution = described.execution(recipe, job.precision, "cpu")
    program = load(name).prepare(network, weights, execution, INFER)
    on_device = program.put(Batch(batch))
    program.compile(on_device)
    return program.result(program.step(on_device))["logits"]


def _keras(
    network: Network, weights: Weights, batch: NDArray[np.float32], job: ForwardPass, block_inputs: Arrays | None
) -> Arrays:
    try:
        from xibench.analysis import keras_outputs

        arrays: Arrays = keras_outputs.outputs(network, weights, batch, job.training, block_inputs)
    except ModuleNotFoundError as error:
        cure = FRAMEWORKS["tensorflow"].install
        raise MissingFramework(f"keras: module '{error.name}' is not installed; {cure}") from error
    return arrays
