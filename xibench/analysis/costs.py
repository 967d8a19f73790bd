"""What a network costs, block by block and by kind of layer, from its blueprint."""

from __future__ import annotations

from dataclasses import dataclass

from frameworks.architectures import network
from frameworks.cost import LayerCost, cost

KINDS = ("pointwise", "conv", "depthwise", "dense")
"""Kinds of layer that have multiply-adds. A 1 x 1 convolution is pointwise wherever it stands."""


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
