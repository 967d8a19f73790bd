"""`xibench cost`: what a network costs, from its blueprint alone."""

from __future__ import annotations

from typing import Annotated

import typer

from frameworks.errors import UnknownName
from xibench.cli.options import Json, Model, Variant, print_json, whole_number


def cost(
    model: Model,
    variant: Variant = "default",
    resolution: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="PX", help="Pixels; the network's own if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(parser=whole_number, metavar="N", help="Images per step.")] = 1,
    precision: Annotated[str, typer.Option(metavar="NAME", help="fp64, fp32 or bf16: sets the bytes moved.")] = "fp32",
    layers: Annotated[bool, typer.Option("--layers", help="One line per layer.")] = False,
    as_json: Json = False,
) -> None:
    """What a network costs, from its blueprint alone.

    Parameters, multiply-adds, activations and bytes moved of one forward pass.

    \b
    Example:  xibench cost xception --batch 8 --layers
    """
    from frameworks.architectures import network
    from frameworks.cost import ITEM_BYTES
    from frameworks.cost import cost as cost_of

    if precision not in ITEM_BYTES:
        raise UnknownName("precision", precision, ITEM_BYTES)
    fields = {} if resolution is None else {"resolution": resolution}
    costs = cost_of(network(model, variant, **fields), batch=batch, precision=precision)
    if as_json:
        print_json(costs)
        return
    from xibench.cli import format

    format.show(format.cost_table(costs))
    if layers:
        format.show(format.layer_table(costs))
