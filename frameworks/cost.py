"""What a network costs, per layer, from its blueprint alone.

One multiply-add is 1 MAC and 2 FLOPs. MACs count convolutions and dense layers; everything else (batch norm,
activations, pools, additions) stands in its own column, `elementwise`, in operations. Work and activations are those of
the whole batch; parameters do not depend on it. Costs are those of the network as written, whatever a recipe rewrites.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from frameworks.blueprint import (
    AveragePool,
    BatchNorm,
    Branches,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LayerInstance,
    MaxPool,
    Network,
    Parameter,
    Residual,
    Shape,
    Slice,
    infer_auxiliary_shapes,
    infer_shapes,
    is_depthwise,
    layer_parameters,
)
from frameworks.errors import Unsupported
from frameworks.task import INFER, Infer, Task

ITEM_BYTES: Final = {"fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2}
FUSED_AWAY: Final = ("batch_norm", "activation", "dropout", "concat", "slice", "flatten")
"""Kinds of layer that need no memory traffic of their own where a neighbour does their work in passing: it reads or
writes its values already changed, into their part of a concatenation, or from their part of an input.
"""


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer's cost. `bytes_moved`: inputs, outputs and parameters once each, for the whole batch."""

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    parameters_trainable: int
    macs: int
    elementwise: int
    activations: int
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """A network's cost: the sums over its layers. `activations` counts outputs of convolutions and dense layers.

    An auxiliary classifier has its parameters among the network's; its work, which only training does, stands apart in
    `auxiliary_macs` and `auxiliary_layers`.
    """

    model: str
    variant: str
    resolution: int
    batch: int
    precision: str
    parameters_trainable: int
    parameters_total: int
    macs: int
    elementwise: int
    activations: int
    bytes_moved: int
    layers: tuple[LayerCost, ...]
    auxiliary_macs: int
    auxiliary_layers: tuple[LayerCost, ...]


def cost(
    network: Network, task: Task = INFER, *, resolution: int | None = None, batch: int = 1, precision: str = "fp32"
) -> NetworkCost:
    """Cost of one step of a task.

    Args:
        network: the blueprint.
        task: what the step computes.
        resolution: pixels, square; None for the network's own.
        batch: images of the step. MACs, element-wise operations, activations and bytes are those of the whole batch.
        precision: of kernels and activations; batch norm's parameters stay in at least float32.

    Raises:
        Unsupported: a task whose cost is not known here; only inference's is.
        InvalidConfiguration: the resolution is too small for the network.
    """
    if not isinstance(task, Infer):
        raise Unsupported(f"cost of {network.name}: task {task!r} is not known, expected Infer()")
    layers = tuple(_layer_cost(p, batch, precision) for p in infer_shapes(network, resolution))
    beside = tuple(_layer_cost(p, batch, precision) for p in infer_auxiliary_shapes(network, resolution))
    return NetworkCost(
        model=network.name,
        variant=network.variant,
        resolution=resolution or network.input_shape[0],
        batch=batch,
        precision=precision,
        parameters_trainable=sum(layer.parameters_trainable for layer in (*layers, *beside)),
        parameters_total=sum(layer.parameters for layer in (*layers, *beside)),
        macs=sum(layer.macs for layer in layers),
        elementwise=sum(layer.elementwise for layer in layers),
        activations=sum(layer.activations for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
        layers=layers,
        auxiliary_macs=sum(layer.macs for layer in beside),
        auxiliary_layers=beside,
    )


def as_written(costs: NetworkCost) -> tuple[tuple[int, int], ...]:
    """(FLOPs, bytes) of each layer in order, for a roofline: every layer reads and writes memory.

    FLOPs are those of multiply-adds, 2 each: a matrix product's rate bounds nothing else.
    """
    return tuple((2 * layer.macs, layer.bytes_moved) for layer in costs.layers)


def fused_layers(costs: NetworkCost) -> tuple[tuple[int, int], ...]:
    """(FLOPs, bytes) of each layer in order, for a roofline: element-wise layers are fused into their neighbours.

    Batch norm, activation, dropout and concatenation move nothing. A residual addition is done by the layer that
    computes its first summand and writes the sum instead: only the second summand is read. Convolutions, pools and
    dense layers read their input and parameters and write their output, each once.
    """
    return tuple((2 * layer.macs, _fused_bytes(layer, costs)) for layer in costs.layers)


def _fused_bytes(layer: LayerCost, costs: NetworkCost) -> int:
    if layer.kind in FUSED_AWAY:
        return 0
    if layer.kind == "add":
        return math.prod(layer.output_shape) * costs.batch * ITEM_BYTES[costs.precision]
    return layer.bytes_moved


def kind(instance: LayerInstance) -> str:
    """The field's word for a layer: depthwise, grouped, pointwise, conv, batch_norm, …"""
    layer = instance.layer
    if isinstance(layer, Conv):
        if is_depthwise(layer, instance.input_shape[-1]):
            return "depthwise"
        if layer.groups > 1:
            return "grouped"
        return "pointwise" if layer.kernel == (1, 1) else "conv"
    return {
        "BatchNorm": "batch_norm",
        "Activation": "activation",
        "MaxPool": "max_pool",
        "AveragePool": "average_pool",
        "GlobalAveragePool": "global_average_pool",
        "Flatten": "flatten",
        "Slice": "slice",
        "Dropout": "dropout",
        "Dense": "dense",
        "Residual": "add",
        "Branches": "concat",
    }[type(layer).__name__]


def _layer_cost(instance: LayerInstance, batch: int, precision: str) -> LayerCost:
    parameters = list(layer_parameters(instance))
    count = sum(math.prod(p.shape) for p in parameters)
    macs = _macs(instance)
    written = 0 if isinstance(instance.layer, Dropout | Flatten) else math.prod(instance.output_shape)
    moved = _elements_in(instance) + written
    return LayerCost(
        name=instance.path,
        kind=kind(instance),
        input_shape=instance.input_shape,
        output_shape=instance.output_shape,
        parameters=count,
        parameters_trainable=sum(math.prod(p.shape) for p in parameters if p.trainable),
        macs=macs * batch,
        elementwise=_elementwise(instance) * batch,
        activations=math.prod(instance.output_shape) * batch if macs else 0,
        bytes_moved=moved * batch * ITEM_BYTES[precision] + sum(_parameter_bytes(p, precision) for p in parameters),
    )


def _parameter_bytes(parameter: Parameter, precision: str) -> int:
    """Batch norm's parameters and statistics stay in at least float32."""
    narrow = parameter.role in ("kernel", "bias")
    return math.prod(parameter.shape) * (ITEM_BYTES[precision] if narrow else max(ITEM_BYTES[precision], 4))


def _macs(instance: LayerInstance) -> int:
    layer, out = instance.layer, math.prod(instance.output_shape)
    if isinstance(layer, Conv):
        return out * layer.kernel[0] * layer.kernel[1] * (instance.input_shape[-1] // layer.groups)
    return out * instance.input_shape[-1] if isinstance(layer, Dense) else 0


def _elements_in(instance: LayerInstance) -> int:
    """Values read, per image: both summands of an addition, all of a concatenation; dropout is the identity here."""
    match instance.layer:
        case Residual():
            return 2 * math.prod(instance.output_shape)
        case Branches():
            return math.prod(instance.output_shape)
        case Dropout() | Flatten():
            return 0
        case Slice():
            return math.prod(instance.output_shape)
        case _:
            return math.prod(instance.input_shape)


def _elementwise(instance: LayerInstance) -> int:
    """Operations per image outside MACs: a scale and a shift count 2, a comparison or an addition 1 each."""
    out = math.prod(instance.output_shape)
    match instance.layer:
        case BatchNorm():
            return 2 * out
        case MaxPool(window=window) | AveragePool(window=window):
            return window * window * out
        case GlobalAveragePool():
            return math.prod(instance.input_shape)
        case Conv(bias=bias):
            return out if bias else 0
        case Dense():
            return out
        case Branches() | Dropout() | Flatten() | Slice():
            return 0
        case _:
            return out
