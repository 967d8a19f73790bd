"""Analytical cost of a network by block and layer kind, and the minimum time of each layer on a measured roofline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from frameworks.architectures import OPERATORS, network
from frameworks.blueprint import min_resolution
from frameworks.cost import LayerCost, NetworkCost, attainable_s, cost, layer_s, roofline_layers
from xibench.errors import InputError
from xibench.record.schema import Calibration

KINDS: Final = ("pointwise", "conv", "grouped", "depthwise", "dense")
"""Layer kinds that have multiply-adds. Every 1 x 1 convolution is pointwise."""
COMPARISON_RESOLUTIONS: Final = (224, 299)
"""Input sizes, in pixels, at which networks are compared."""


@dataclass(frozen=True, slots=True)
class BlockCost:
    """Totals over the layers of one block, for one image.

    Attributes:
        name: The block's name; its layers' names start with it.
        parameters: Parameters, running statistics included.
        macs: Multiply-adds.
        macs_by_kind: Multiply-adds by layer kind.
        activations: Output values of the convolutions and dense layers.
        bytes_moved: Bytes of inputs, outputs and parameters, each read or written once.
    """

    name: str
    parameters: int
    macs: int
    macs_by_kind: dict[str, int]
    activations: int
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Totals of a network for one image at one resolution, and the same by block, in execution order."""

    model: str
    variant: str
    resolution: int
    precision: str
    parameters_trainable: int
    parameters_total: int
    macs: int
    activations: int
    bytes_moved: int
    blocks: tuple[BlockCost, ...]

    def macs_of(self, kind: str) -> int:
        """Return the multiply-adds of one layer kind over the whole network."""
        return sum(block.macs_by_kind.get(kind, 0) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class LayerRoof:
    """The minimum time of one layer on a roofline, with element-wise layers fused into their neighbours.

    Attributes:
        name: The layer's path.
        kind: Its layer kind.
        flops: Floating-point operations.
        bytes_moved: Bytes read and written, after fusion.
        attainable_s: Minimum time in seconds: max(flops / peak, bytes_moved / bandwidth).
        bound: Which of the two is larger, or `fused` if the layer is fused away and takes no time.
    """

    name: str
    kind: str
    flops: int
    bytes_moved: int
    attainable_s: float
    bound: Literal["compute", "memory", "fused"]


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network on the roofline that a run measured.

    Attributes:
        peak_flops_per_s: Ceiling of arithmetic: the fastest matmul in the precision.
        bytes_per_s: Ceiling of memory bandwidth: the fastest copy.
        layers: Minimum time of each layer, in execution order.
        as_written_s: Minimum time without fusion: every layer reads its inputs from memory and writes its outputs.
    """

    peak_flops_per_s: float
    bytes_per_s: float
    layers: tuple[LayerRoof, ...]
    as_written_s: float

    @property
    def attainable_s(self) -> float:
        """Minimum time of the network in seconds, with its layers executed one after another."""
        return sum(layer.attainable_s for layer in self.layers)


def roofline(costs: NetworkCost, calibration: Calibration | None) -> Roofline:
    """Compute the attainable time of each layer from the ceilings that a run measured.

    Args:
        costs: Cost of the network at a batch size and precision.
        calibration: The run's measured ceilings; None if the run measured none.

    Raises:
        InputError: The run has no ceilings, or none for the precision.
    """
    peak = calibration and calibration.peak_flops_per_s(costs.precision)
    bandwidth = calibration and calibration.bytes_per_s
    if not peak or not bandwidth:
        missing = f"no matmul in {costs.precision}" if bandwidth else "no ceilings"
        raise InputError(
            f"attainable times of {costs.model}: the run has {missing}; "
            "name a run that measured ceilings and has cases in that precision"
        )
    fused = zip(costs.layers, roofline_layers(costs, fused=True), strict=True)
    return Roofline(
        peak, bandwidth, tuple(_roof(layer, *work, peak, bandwidth) for layer, work in fused),
        attainable_s(roofline_layers(costs, fused=False), peak, bandwidth),
    )


def _roof(layer: LayerCost, flops: int, moved: int, peak: float, bandwidth: float) -> LayerRoof:
    bound: Literal["compute", "memory", "fused"] = "compute" if flops * bandwidth > moved * peak else "memory"
    min_s = layer_s(flops, moved, peak, bandwidth)
    return LayerRoof(layer.name, layer.kind, flops, moved, min_s, bound if min_s else "fused")


def comparison_resolutions(model: str, variant: str) -> tuple[int, ...]:
    """Return the input sizes at which the cost of a network or operator is reported.

    Args:
        model: Name of a network or operator.
        variant: Name of its variant.

    Returns:
        Sizes in pixels: those of COMPARISON_RESOLUTIONS that the network supports, and last its own. An operator has
        only its own.

    Raises:
        UnknownName: The model or variant is not registered.
    """
    built = network(model, variant)
    own = built.input_shape[0]
    if model in OPERATORS:
        return (own,)
    smallest = min_resolution(built)
    return (*(pixels for pixels in COMPARISON_RESOLUTIONS if pixels != own and pixels >= smallest), own)


def model_cost(model: str, variant: str, resolution: int, precision: str = "fp32") -> ModelCost:
    """Compute the cost of one forward pass of one image, in total and by block.

    Args:
        model: Name of a network or operator.
        variant: Name of its variant.
        resolution: Height and width of the input in pixels.
        precision: Precision of weights and activations, which determines the bytes moved.

    Raises:
        UnknownName: The model or variant is not registered.
        InvalidConfiguration: The resolution is too small for the network.
    """
    total = cost(network(model, variant, resolution=resolution), precision=precision)
    by_block: dict[str, list[LayerCost]] = {}
    for layer in total.layers:
        by_block.setdefault(layer.name.split(".")[0], []).append(layer)
    return ModelCost(
        model=model, variant=variant, resolution=resolution, precision=precision,
        parameters_trainable=total.parameters_trainable, parameters_total=total.parameters_total, macs=total.macs,
        activations=total.activations, bytes_moved=total.bytes_moved,
        blocks=tuple(_block(name, layers) for name, layers in by_block.items()),
    )


def _block(name: str, layers: list[LayerCost]) -> BlockCost:
    by_kind: dict[str, int] = {}
    for layer in layers:
        if layer.macs:
            by_kind[layer.kind] = by_kind.get(layer.kind, 0) + layer.macs
    return BlockCost(
        name=name,
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        macs_by_kind=by_kind,
        activations=sum(layer.activations for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
    )
