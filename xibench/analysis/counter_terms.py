"""What the frameworks' own FLOP counters count otherwise than 2 per multiply-add, from a network's blueprint.

The rules are those of each counter's source: torch/utils/flop_counter.py; xla/service/hlo_cost_analysis.cc;
tensorflow/python/profiler/internal/flops_registry.py and what tensorflow/python/ops/nn_ops.py registers there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from frameworks.blueprint import (
    Activation,
    AveragePool,
    BatchNorm,
    Conv,
    Dense,
    GlobalAveragePool,
    LayerInstance,
    MaxPool,
    Network,
    Residual,
    edges,
    infer_shapes,
)


@dataclass(frozen=True, slots=True)
class Term:
    """FLOPs that a counter has more than 2 per multiply-add; below 0: less."""

    what: str
    flops: int


Rule = Callable[[LayerInstance, int], int]
"""FLOPs of a layer for a batch; 0 for layers that the rule does not concern."""


def terms(framework: str, network: Network, batch: int) -> tuple[Term, ...]:
    """Where a framework's counter departs from 2 FLOPs per multiply-add on a network; terms of 0 are left out."""
    instance = infer_shapes(network)
    found = (Term(what, sum(rule(layer, batch) for layer in instance)) for what, rule in RULES[framework].items())
    return tuple(term for term in found if term.flops)


def cells_inside(size: int, kernel: int, stride: int, before: int, outputs: int) -> int:
    """Over all windows along one axis: their cells that lie inside the picture, which begins after `before` cells."""
    starts: Iterable[int] = (i * stride - before for i in range(outputs))
    return sum(min(start + kernel, size) - max(start, 0) for start in starts)


def _outside(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    if not isinstance(layer, Conv):
        return 0
    inside = 1
    sizes = zip(instance.input_shape, instance.output_shape, layer.kernel, strict=False)
    for size, outputs, kernel in sizes:
        before, _ = edges(layer.padding, size, kernel, layer.stride)
        inside *= cells_inside(size, kernel, layer.stride, before, outputs)
    windows = math.prod(instance.output_shape[:2]) * math.prod(layer.kernel)
    return 2 * batch * (inside - windows) * instance.input_shape[-1] // layer.groups * layer.features


def _normalisation(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    if not isinstance(layer, BatchNorm):
        return 0
    channels = instance.input_shape[-1]
    return 3 * batch * _outputs(instance) + channels * (2 if layer.scale else 1)


def _activation(instance: LayerInstance, batch: int) -> int:
    if not isinstance(instance.layer, Activation):
        return 0
    each = 4 if instance.layer.function == "elu" else 1  # jax.nn.elu takes the value apart twice; exp is no FLOP to XLA
    return each * batch * _outputs(instance)


def _comparisons(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    return batch * _outputs(instance) * (layer.window**2 - 1) if isinstance(layer, MaxPool) else 0


def _averages(instance: LayerInstance, batch: int) -> int:
    return batch * _outputs(instance) * instance.layer.window**2 if isinstance(instance.layer, AveragePool) else 0


def _cell_counts(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    if not isinstance(layer, AveragePool) or layer.border == "include" or layer.padding == "valid":
        return 0
    return math.prod(instance.output_shape[:2]) * (layer.window**2 - 1)


def _windows(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    return batch * _outputs(instance) * layer.window**2 if isinstance(layer, MaxPool | AveragePool) else 0


def _mean(instance: LayerInstance, batch: int) -> int:
    return batch * math.prod(instance.input_shape) if isinstance(instance.layer, GlobalAveragePool) else 0


def _addition(instance: LayerInstance, batch: int) -> int:
    return batch * _outputs(instance) if isinstance(instance.layer, Residual) else 0


def _bias(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    biased = isinstance(layer, Dense) or (isinstance(layer, Conv) and layer.bias)
    return batch * _outputs(instance) if biased else 0


def _outputs(instance: LayerInstance) -> int:
    return math.prod(instance.output_shape)


_ELEMENTWISE: Final[Mapping[str, Rule]] = {
    "residual additions": _addition,
    "global average: a sum and a division": _mean,
    "biases": _bias,
}
RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "pytorch": {},
    "tensorflow": {"pools: every cell of a window": _windows, **_ELEMENTWISE},
    "jax": {
        "convolution windows: no cell outside the picture": _outside,
        "batch norm: 3 a value, and the gain of each channel": _normalisation,
        "activations: 1 a value, 4 of an ELU": _activation,
        "max pools: a comparison less than a window has cells": _comparisons,
        "average pools: a sum and a division": _averages,
        "average pools: counting the cells inside the picture": _cell_counts,
        **_ELEMENTWISE,
    },
}
"""Framework -> what its counter counts otherwise, and by which rule."""
