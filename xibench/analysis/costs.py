"""What a network costs, block by block and by kind of layer, from its blueprint; and what a device's ceilings allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from frameworks.architectures import OPERATORS, network
from frameworks.blueprint import min_resolution
from frameworks.cost import LayerCost, NetworkCost, as_written, cost, fused_layers
from xibench.errors import InputError
from xibench.measure.roofline import attainable_s, layer_s
from xibench.record.schema import Calibration

KINDS: Final = ("pointwise", "conv", "grouped", "depthwise", "dense")
"""Kinds of layer that have multiply-adds. A 1 x 1 convolution is pointwise wherever it stands."""
USUAL: Final = (224, 299)
"""Pixels at which networks are compared."""


@dataclass(frozen=True, slots=True)
class BlockCost:
    """One block's sums. macs_by_kind and parameters cover every layer under the block's name."""

    name: str
    parameters: int
    macs: int
    macs_by_kind: dict[str, int]
    activations: int
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class ModelCost:
    """A network's sums for one picture at one resolution, in total and by block, in the order in which blocks run."""

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
        """Multiply-adds of one kind of layer, over the whole network."""
        return sum(block.macs_by_kind.get(kind, 0) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class LayerRoof:
    """What the ceilings allow one layer, element-wise layers fused into their neighbours.

    attainable_s: seconds that it takes at least. bound: by arithmetic, by memory, or fused away and 0.
    """

    name: str
    kind: str
    flops: int
    bytes_moved: int
    attainable_s: float
    bound: Literal["compute", "memory", "fused"]


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network under a run's ceilings. as_written_s: every layer reads and writes memory, none is fused."""

    peak_flops_per_s: float
    bytes_per_s: float
    layers: tuple[LayerRoof, ...]
    as_written_s: float

    @property
    def attainable_s(self) -> float:
        """Seconds that the network takes at least, its layers one after another."""
        return sum(layer.attainable_s for layer in self.layers)


def roofline(costs: NetworkCost, calibration: Calibration | None) -> Roofline:
    """Attainable time of each layer under the ceilings that a run measured.

    Raises InputError where the run has none for the precision.
    """
    peak = calibration and calibration.peak_flops_per_s(costs.precision)
    bandwidth = calibration and calibration.bytes_per_s
    if not peak or not bandwidth:
        lacks = f"no matrix product in {costs.precision}" if bandwidth else "no ceilings"
        raise InputError(
            f"attainable times of {costs.model}: the run has {lacks}; "
            "name a run that was taken with ceilings and has cases in that precision"
        )
    fused = zip(costs.layers, fused_layers(costs), strict=True)
    return Roofline(
        peak, bandwidth, tuple(_roof(layer, *work, peak, bandwidth) for layer, work in fused),
        attainable_s(as_written(costs), peak, bandwidth),
    )


def _roof(layer: LayerCost, flops: int, moved: int, peak: float, bandwidth: float) -> LayerRoof:
    bound: Literal["compute", "memory", "fused"] = "compute" if flops * bandwidth > moved * peak else "memory"
    least_s = layer_s(flops, moved, peak, bandwidth)
    return LayerRoof(layer.name, layer.kind, flops, moved, least_s, bound if least_s else "fused")


def usual_resolutions(model: str, variant: str) -> tuple[int, ...]:
    """The sizes in pixels at which a subject's cost is told, its own last.

    An operator has its own only. Raises UnknownName for a model or variant that is not registered.
    """
    built = network(model, variant)
    own = built.input_shape[0]
    if model in OPERATORS:
        return (own,)
    least = min_resolution(built)
    return (*(pixels for pixels in USUAL if pixels != own and pixels >= least), own)


def model_cost(model: str, variant: str, resolution: int, precision: str = "fp32") -> ModelCost:
    """Costs of one forward pass of one picture.

    Raises UnknownName for a model or variant that is not registered, InvalidConfiguration for a resolution that is
    too small for the network.
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
