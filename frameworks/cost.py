"""Analytical cost of a network, per layer, from its blueprint alone.

One multiply-add is 1 MAC and 2 FLOPs. MACs count convolutions and dense layers only; all other work (batch norm,
activations, pools, additions) is counted separately, in operations, as `elementwise`. Work and activations are those of
the whole batch; parameters do not depend on it. Costs describe the network as written, before a recipe rewrites it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec

from frameworks.blueprint import (
    Activation,
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
    Residual,
    Shape,
    Slice,
    infer_auxiliary_shapes,
    infer_shapes,
    is_depthwise,
    layer_parameters,
)
from frameworks.errors import TooSmall, Unsupported
from frameworks.task import INFER, Infer, Task

ITEM_BYTES: Final = {"fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2}
FUSED_AWAY: Final = ("batch_norm", "activation", "dropout", "concat", "slice", "flatten")
"""Layer kinds that cause no memory traffic once they are fused into a neighbour, which then reads or writes the changed
values directly: normalised or activated, at their offset in a concatenation, or from a slice of an input. A residual
addition is fused into the layer that computes its first operand, which writes the sum instead: only the second operand
is read.
"""


class LayerCost(msgspec.Struct, frozen=True):
    """One layer's cost.

    name: its path. kind: its usual name, such as depthwise, pointwise or batch_norm.
    input_shape, output_shape: of one image.
    parameters, parameters_trainable: with and without running statistics.
    macs, elementwise: multiply-adds, and operations outside them, of the whole batch.
    activations: output values of a convolution or dense layer for the whole batch; 0 for other kinds.
    bytes_moved: inputs, outputs and parameters, each read or written once, for the whole batch.
    bytes_fused: the same with element-wise layers fused into their neighbours: 0 for the kinds in FUSED_AWAY.
    """

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
    bytes_fused: int


class NetworkCost(msgspec.Struct, frozen=True):
    """A network's cost: sums over its layers, with the meaning and unit that LayerCost gives them.

    model, variant, resolution, batch, precision: what the cost is of. layers: in execution order.
    An auxiliary classifier's parameters are included in the network's. Its work, which only training does, is not: see
    auxiliary_macs and auxiliary_layers. Where the image is too small for it, which inference does not mind, it has no
    cost: auxiliary_macs is None, and auxiliary_layers is empty.
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
    bytes_fused: int
    layers: tuple[LayerCost, ...]
    auxiliary_macs: int | None
    auxiliary_layers: tuple[LayerCost, ...]


def cost(
    network: Network, task: Task = INFER, *, resolution: int | None = None, batch: int = 1, precision: str = "fp32"
) -> NetworkCost:
    """Cost of one step of a task.

    Args:
        network: the blueprint.
        task: what the step computes.
        resolution: pixels, square; None for the network's own.
        batch: number of images. MACs, element-wise operations, activations and bytes are those of the whole batch.
        precision: of kernels and activations; batch-norm parameters stay in at least float32.

    Raises:
        Unsupported: there is no cost model for the task; there is one for inference only.
        InvalidConfiguration: the resolution is too small for inference.
    """
    if not isinstance(task, Infer):
        raise Unsupported(f"cost of {network.name}: no cost model for the task {task!r}, expected Infer()")
    layers = tuple(_layer_cost(p, batch, precision) for p in infer_shapes(network, resolution))
    auxiliary = tuple(_layer_cost(p, batch, precision) for p in infer_auxiliary_shapes(network, resolution, True))
    try:
        infer_auxiliary_shapes(network, resolution)
        trainable = True
    except TooSmall:
        trainable = False
    return NetworkCost(
        model=network.name,
        variant=network.variant,
        resolution=resolution or network.input_shape[0],
        batch=batch,
        precision=precision,
        parameters_trainable=sum(layer.parameters_trainable for layer in (*layers, *auxiliary)),
        parameters_total=sum(layer.parameters for layer in (*layers, *auxiliary)),
        macs=sum(layer.macs for layer in layers),
        elementwise=sum(layer.elementwise for layer in layers),
        activations=sum(layer.activations for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
        bytes_fused=sum(layer.bytes_fused for layer in layers),
        layers=layers,
        auxiliary_macs=sum(layer.macs for layer in auxiliary) if trainable else None,
        auxiliary_layers=auxiliary if trainable else (),
    )


def roofline_layers(costs: NetworkCost, fused: bool) -> tuple[tuple[int, int], ...]:
    """Return (FLOPs, bytes) of each layer in order, for a roofline.

    FLOPs are 2 per multiply-add and nothing else: the roofline's peak is the rate of a matmul.

    Args:
        costs: of the network.
        fused: whether element-wise layers are fused into neighbours (see FUSED_AWAY). If not, every layer reads and
            writes memory. Either way, convolutions, pools and dense layers read their input and parameters and write
            their output, each once.
    """
    return tuple((2 * layer.macs, layer.bytes_fused if fused else layer.bytes_moved) for layer in costs.layers)


def _layer_cost(instance: LayerInstance, batch: int, precision: str) -> LayerCost:
    item_bytes = ITEM_BYTES[precision]
    parameters = [(math.prod(p.shape), p) for p in layer_parameters(instance)]
    parameter_bytes = sum(  # batch-norm parameters and statistics stay in at least float32
        count * (item_bytes if p.role in ("kernel", "bias") else max(item_bytes, 4)) for count, p in parameters
    )
    kind, macs, elementwise, values = _work(instance)
    bytes_moved = values * batch * item_bytes + parameter_bytes
    bytes_fused = 0 if kind in FUSED_AWAY else bytes_moved
    if kind == "add":
        bytes_fused = math.prod(instance.output_shape) * batch * item_bytes
    return LayerCost(
        name=instance.path,
        kind=kind,
        input_shape=instance.input_shape,
        output_shape=instance.output_shape,
        parameters=sum(count for count, _ in parameters),
        parameters_trainable=sum(count for count, p in parameters if p.trainable),
        macs=macs * batch,
        elementwise=elementwise * batch,
        activations=math.prod(instance.output_shape) * batch if macs else 0,
        bytes_moved=bytes_moved,
        bytes_fused=bytes_fused,
    )


def _work(instance: LayerInstance) -> tuple[str, int, int, int]:
    """Kind of a layer, and for one image its MACs, operations besides MACs, and values read and written.

    Scale and shift count 2 operations; a comparison or an addition counts 1.
    """
    channels = instance.input_shape[-1]
    read, out = math.prod(instance.input_shape), math.prod(instance.output_shape)
    match instance.layer:
        case Conv(kernel=(height, width), groups=groups, bias=bias) as conv:
            name = "pointwise" if conv.kernel == (1, 1) else "conv"
            if groups > 1:
                name = "depthwise" if is_depthwise(conv, channels) else "grouped"
            return name, out * height * width * (channels // groups), out if bias else 0, read + out
        case Dense():
            return "dense", out * channels, out, read + out
        case BatchNorm():
            return "batch_norm", 0, 2 * out, read + out
        case Activation():
            return "activation", 0, out, read + out
        case MaxPool(window=window):
            return "max_pool", 0, window * window * out, read + out
        case AveragePool(window=window):
            return "average_pool", 0, window * window * out, read + out
        case GlobalAveragePool():
            return "global_average_pool", 0, read, read + out
        case Residual():  # both operands are read
            return "add", 0, out, 2 * out + out
        case Branches():  # only values that end up in the output are read
            return "concat", 0, 0, out + out
        case Slice():
            return "slice", 0, 0, out + out
        case Dropout():  # the identity in inference
            return "dropout", 0, 0, 0
        case Flatten():  # a view
            return "flatten", 0, 0, 0


def layer_s(flops: float, bytes_moved: float, peak_flops_per_s: float, bytes_per_s: float) -> float:
    """Return the minimum time of a layer on a roofline (Williams, Waterman and Patterson 2009, CACM 52(4)).

    Args:
        flops: Floating-point operations of the layer.
        bytes_moved: Bytes that it reads and writes.
        peak_flops_per_s: Ceiling of arithmetic.
        bytes_per_s: Ceiling of memory bandwidth.

    Returns:
        Seconds: the time of its arithmetic or the time of its memory traffic, whichever is longer.

    Raises:
        ValueError: A ceiling is not above 0.
    """
    if peak_flops_per_s <= 0 or bytes_per_s <= 0:
        raise ValueError(
            f"a roofline needs ceilings above 0, received {peak_flops_per_s} FLOP/s and {bytes_per_s} bytes/s"
        )
    return max(flops / peak_flops_per_s, bytes_moved / bytes_per_s)


def attainable_s(layers: Iterable[tuple[float, float]], peak_flops_per_s: float, bytes_per_s: float) -> float:
    """Return the minimum time in seconds of layers that are executed one after another; 0 without layers.

    Args:
        layers: FLOPs and bytes moved of each layer.
        peak_flops_per_s: As in `layer_s`.
        bytes_per_s: As in `layer_s`.

    Raises:
        ValueError: A ceiling is not above 0.
    """
    return sum(layer_s(flops, moved, peak_flops_per_s, bytes_per_s) for flops, moved in layers)
