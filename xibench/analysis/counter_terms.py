"""Terms in which the frameworks' own FLOP counters differ from 2 per multiply-add, computed from a blueprint.

The rules follow the source of each counter: torch/utils/flop_counter.py; xla/service/hlo_cost_analysis.cc;
tensorflow/python/profiler/internal/flops_registry.py and its registrations in tensorflow/python/ops/nn_ops.py.
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
    """FLOPs that a counter adds to 2 per multiply-add, or subtracts from it if negative."""

    what: str  # description of the operations that are counted differently
    flops: int


Rule = Callable[[LayerInstance, int], int]
"""Maps a layer and a batch size to FLOPs; 0 for layers to which the rule does not apply."""


def terms(framework: str, network: Network, batch: int) -> tuple[Term, ...]:
    """Compute where a framework's counter differs from 2 FLOPs per multiply-add.

    Args:
        framework: Name of the framework.
        network: The network whose inference pass is counted.
        batch: Images in the batch.

    Returns:
        The terms that are not 0, in the order of RULES.
    """
    instances = infer_shapes(network)
    found = (Term(what, sum(rule(layer, batch) for layer in instances)) for what, rule in RULES[framework].items())
    return tuple(term for term in found if term.flops)


def elements_inside(size: int, kernel: int, stride: int, padding: int, outputs: int) -> int:
    """Count the window elements along one axis that lie inside the image, summed over all windows.

    Args:
        size: Length of the input along the axis.
        kernel: Length of the window.
        stride: Distance between the starts of two windows.
        padding: Padded elements before the input.
        outputs: Number of windows.
    """
    starts: Iterable[int] = (i * stride - padding for i in range(outputs))
    return sum(min(start + kernel, size) - max(start, 0) for start in starts)


def _padding(instance: LayerInstance, batch: int) -> int:
    """Multiply-adds on padding, as a negative number of FLOPs."""
    layer = instance.layer
    if not isinstance(layer, Conv):
        return 0
    inside = 1
    sizes = zip(instance.input_shape, instance.output_shape, layer.kernel, strict=False)
    for size, outputs, kernel in sizes:
        before, _ = edges(layer.padding, size, kernel, layer.stride)
        inside *= elements_inside(size, kernel, layer.stride, before, outputs)
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
    each = 4 if instance.layer.function == "elu" else 1  # jax.nn.elu selects twice; XLA does not count exp as a FLOP
    return each * batch * _outputs(instance)


def _comparisons(instance: LayerInstance, batch: int) -> int:
    layer = instance.layer
    return batch * _outputs(instance) * (layer.window**2 - 1) if isinstance(layer, MaxPool) else 0


def _averages(instance: LayerInstance, batch: int) -> int:
    return batch * _outputs(instance) * instance.layer.window**2 if isinstance(instance.layer, AveragePool) else 0


def _divisors(instance: LayerInstance, batch: int) -> int:
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
    "global average pooling: additions and a division": _mean,
    "biases": _bias,
}
RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "pytorch": {},
    "tensorflow": {"pooling: one FLOP per window element": _windows, **_ELEMENTWISE},
    "jax": {
        "convolutions: no work on padding": _padding,
        "batch norm: 3 per value, plus the scale of each channel": _normalisation,
        "activations: 1 per value, 4 for ELU": _activation,
        "max pooling: comparisons, one fewer than window elements": _comparisons,
        "average pooling: additions and a division": _averages,
        "average pooling: counting window elements inside the image": _divisors,
        **_ELEMENTWISE,
    },
}
"""Framework -> description of each term -> rule that computes it."""
