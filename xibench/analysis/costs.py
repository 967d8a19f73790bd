"""Analytical cost of a network by block and layer kind, and the minimum time of each on a measured roofline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from msgspec.structs import replace

from frameworks.architectures import OPERATORS, network
from frameworks.blueprint import min_resolution
from frameworks.cost import LayerCost, NetworkCost, attainable_s, cost, layer_s, roofline_layers
from xibench.errors import InputError
from xibench.record.schema import DEFAULT_SCENARIO, Calibration

if TYPE_CHECKING:
    from xibench.record.store import Run

Bound = Literal["compute", "memory", "fused"]
L = TypeVar("L", "LayerCost", "LayerRoof")

KINDS: Final = ("pointwise", "conv", "grouped", "depthwise", "dense")
"""Layer kinds that have multiply-adds. Every 1 x 1 convolution is pointwise."""
COMPARISON_RESOLUTIONS: Final = (224, 299)
"""Input sizes, in pixels, at which networks are compared."""


@dataclass(frozen=True, slots=True)
class BlockCost:
    """Totals over the layers of one block. The blocks add up to the network.

    An auxiliary classifier is a block whose parameters count, and whose work is 0 because only training does it.

    Attributes:
        name: The block's name; its layers' names start with it.
        parameters_trainable: Parameters without running statistics.
        parameters: Parameters, running statistics included.
        macs: Multiply-adds.
        macs_by_kind: Multiply-adds by layer kind.
        elementwise: Operations outside multiply-adds.
        activations: Output values of the convolutions and dense layers.
        bytes_moved: Bytes of inputs, outputs and parameters, each read or written once, of the network as written.
        bytes_fused: The same with element-wise layers fused into their neighbours.
    """

    name: str
    parameters_trainable: int
    parameters: int
    macs: int
    macs_by_kind: dict[str, int]
    elementwise: int
    activations: int
    bytes_moved: int
    bytes_fused: int


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
    bound: Bound


@dataclass(frozen=True, slots=True)
class BlockRoof:
    """The minimum time of one block on a roofline: that of its layers, one after another.

    Attributes:
        name: The block's name.
        flops: Floating-point operations.
        bytes_moved: Bytes read and written, after fusion.
        attainable_s: Minimum time in seconds.
        share: Its share of the minimum time of the network.
        bound: What bounds the layers that take most of this time; `fused` if the block takes no time.
        bound_share: The share of this time in layers with that bound.
    """

    name: str
    flops: int
    bytes_moved: int
    attainable_s: float
    share: float
    bound: Bound
    bound_share: float


@dataclass(frozen=True, slots=True)
class Attained:
    """How close one implementation came to the roofline in the run that measured it.

    Attributes:
        framework: The implementation.
        recipe: Its recipe.
        step_s: Median seconds per step of the whole network.
        attained: The run's attainable time over it; None if the run could not compute that.
    """

    framework: str
    recipe: str
    step_s: float
    attained: float | None


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network on the roofline that a run measured.

    Attributes:
        peak_flops_per_s: Ceiling of arithmetic: the fastest matmul in the precision.
        bytes_per_s: Ceiling of memory bandwidth: the fastest copy.
        layers: Minimum time of each layer, in execution order.
        blocks: Minimum time of each block, in execution order.
        as_written_s: Minimum time without fusion: every layer reads its inputs from memory and writes its outputs.
        measured: The run's measurements of the same network at the same batch, resolution and precision, as a whole.
    """

    peak_flops_per_s: float
    bytes_per_s: float
    layers: tuple[LayerRoof, ...]
    blocks: tuple[BlockRoof, ...]
    as_written_s: float
    measured: tuple[Attained, ...] = ()

    @property
    def attainable_s(self) -> float:
        """Minimum time of the network in seconds, with its layers executed one after another."""
        return sum(layer.attainable_s for layer in self.layers)


def roofline(costs: NetworkCost, calibration: Calibration | None, measured: tuple[Attained, ...] = ()) -> Roofline:
    """Compute the attainable time of each layer and block from the ceilings that a run measured.

    Args:
        costs: Cost of the network at a batch size and precision.
        calibration: The run's measured ceilings; None if the run measured none.
        measured: What the run measured of this network: see `attained_in`.

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
    layers = tuple(_roof(layer, *work, peak, bandwidth) for layer, work in fused)
    total_s = sum(layer.attainable_s for layer in layers)
    return Roofline(
        peak, bandwidth, layers, tuple(_block_roof(name, own, total_s) for name, own in _by_block(layers).items()),
        attainable_s(roofline_layers(costs, fused=False), peak, bandwidth), measured,
    )


def attained_in(run: Run, costs: NetworkCost) -> tuple[Attained, ...]:
    """Return how close each implementation came to the roofline in a run's offline cases of this network.

    Args:
        run: The run.
        costs: Of the network; only cases of the same variant, resolution, batch and precision count.
    """
    from xibench.record.summary import summarise

    wanted = (costs.model, costs.variant, costs.resolution, costs.batch, costs.precision, DEFAULT_SCENARIO)
    found = []
    for record in run.records:
        case = record.case
        if (case.model, case.variant, case.resolution, case.batch, case.precision, case.scenario) == wanted:
            summary = summarise(record)
            if summary.step_s is not None:
                found.append(Attained(case.framework, case.recipe, summary.step_s.median, summary.attained))
    return tuple(found)


def _roof(layer: LayerCost, flops: int, moved: int, peak: float, bandwidth: float) -> LayerRoof:
    bound: Bound = "compute" if flops * bandwidth > moved * peak else "memory"
    min_s = layer_s(flops, moved, peak, bandwidth)
    return LayerRoof(layer.name, layer.kind, flops, moved, min_s, bound if min_s else "fused")


def _block_roof(name: str, layers: list[LayerRoof], network_s: float) -> BlockRoof:
    own_s = sum(layer.attainable_s for layer in layers)
    compute_s = sum(layer.attainable_s for layer in layers if layer.bound == "compute")
    bound: Bound = "fused" if not own_s else "compute" if compute_s > own_s / 2 else "memory"
    bounded_s = compute_s if bound == "compute" else own_s - compute_s
    return BlockRoof(
        name=name, flops=sum(layer.flops for layer in layers), bytes_moved=sum(layer.bytes_moved for layer in layers),
        attainable_s=own_s, share=own_s / network_s if network_s else 0.0, bound=bound,
        bound_share=bounded_s / own_s if own_s else 1.0,
    )


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
    return ModelCost(
        model=model, variant=variant, resolution=resolution, precision=precision,
        parameters_trainable=total.parameters_trainable, parameters_total=total.parameters_total, macs=total.macs,
        activations=total.activations, bytes_moved=total.bytes_moved,
        blocks=block_costs(total),
    )


@cache
def bytes_fused(model: str, variant: str, resolution: int, batch: int, precision: str) -> int:
    """Return the bytes that a step moves after fusion; a record has only those of the network as written.

    Raises as `model_cost` does.
    """
    return cost(network(model, variant, resolution=resolution), batch=batch, precision=precision).bytes_fused


def block_costs(costs: NetworkCost) -> tuple[BlockCost, ...]:
    """Return the cost of each block of a network in execution order, last that of an auxiliary classifier."""
    auxiliary = {
        name: [replace(layer, macs=0, elementwise=0, activations=0, bytes_moved=0, bytes_fused=0) for layer in layers]
        for name, layers in _by_block(costs.auxiliary_layers).items()
    }
    return tuple(_block(name, layers) for name, layers in (_by_block(costs.layers) | auxiliary).items())


def _by_block(layers: Iterable[L]) -> dict[str, list[L]]:
    """Return layers by the block that they are in: the first part of their names."""
    found: dict[str, list[L]] = {}
    for layer in layers:
        found.setdefault(layer.name.split(".")[0], []).append(layer)
    return found


def _block(name: str, layers: list[LayerCost]) -> BlockCost:
    by_kind: dict[str, int] = {}
    for layer in layers:
        if layer.macs:
            by_kind[layer.kind] = by_kind.get(layer.kind, 0) + layer.macs
    return BlockCost(
        name=name,
        parameters_trainable=sum(layer.parameters_trainable for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        macs_by_kind=by_kind,
        elementwise=sum(layer.elementwise for layer in layers),
        activations=sum(layer.activations for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
        bytes_fused=sum(layer.bytes_fused for layer in layers),
    )
