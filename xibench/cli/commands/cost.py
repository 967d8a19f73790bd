"""`xibench cost`: a network's parameters, multiply-adds and bytes by layer and block, and its roofline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frameworks.errors import UnknownName
from xibench.cli.options import Json, Model, Names, Variant, list_option, print_json, run_path, whole_number
from xibench.errors import UsageError

if TYPE_CHECKING:
    from frameworks.cost import NetworkCost
    from xibench.analysis.costs import Roofline
    from xibench.analysis.counters import CounterCheck


def cost(
    model: Model,
    variant: Variant = "default",
    resolution: Annotated[
        int | None,
        typer.Option(
            parser=whole_number, metavar="PX", help="Width and height in pixels.  [default: the network's own]"
        ),
    ] = None,
    batch: Annotated[int, typer.Option(parser=whole_number, metavar="N", help="Images per step.")] = 1,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="fp64, fp32, tf32 or bf16, on which the bytes moved depend.")
    ] = "fp32",
    blocks: Annotated[bool, typer.Option("--blocks", help="Print a row per block.")] = False,
    block: Annotated[
        Names,
        list_option("--block", metavar="NAME", help_text="Print the layers of a block and, in a sentence, its share."),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Print a row per layer.")] = False,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Show attainable times on the roofline that this run measured: a run file, or `latest`."
        ),
    ] = None,
    counters: Annotated[
        bool,
        typer.Option("--counters", help="Compare with each framework's own FLOP counter and explain the differences."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Count a network's parameters, multiply-adds, activations and bytes moved per forward pass.

    All are computed from the network's definition; nothing is measured. Exit code 1 if --counters finds a difference
    that it cannot explain.

    \b
    Example:  xibench cost xception --batch 8 --blocks
              xibench cost inception_v3 --batch 8 --layers --run latest
              xibench cost xception --batch 8 --block block4 --run latest
              xibench cost xception --counters
    """
    from frameworks.architectures import network
    from frameworks.cost import ITEM_BYTES
    from frameworks.cost import cost as cost_of

    if precision not in ITEM_BYTES:
        raise UnknownName("precision", precision, ITEM_BYTES)
    fields = {} if resolution is None else {"resolution": resolution}
    costs = cost_of(network(model, variant, **fields), batch=batch, precision=precision)
    _require_blocks(costs, block or ())
    roof = None if run is None else _roofline(costs, run)
    checks = _counters(costs) if counters else ()
    if as_json:
        print_json(_document(costs, roof, checks))
    else:
        _print(costs, roof, checks, layers, blocks, block or ())
    if any(check.agrees is False for check in checks):
        raise typer.Exit(1)


def _require_blocks(costs: NetworkCost, names: Sequence[str]) -> None:
    from xibench.analysis.costs import block_costs

    known = [block.name for block in block_costs(costs)]
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"unknown block '{unknown[0]}' of {costs.model}/{costs.variant}, expected one of {', '.join(known)}"
        )


def _roofline(costs: NetworkCost, run: str) -> Roofline:
    from xibench.analysis.costs import attained_in, roofline
    from xibench.record.store import read

    found = read(run_path(run))
    return roofline(costs, found.calibration, attained_in(found, costs))


def _counters(costs: NetworkCost) -> Sequence[CounterCheck]:
    from xibench.analysis.counters import counters

    return counters(costs.model, costs.variant, costs.resolution, costs.batch)


def _document(costs: NetworkCost, roof: Roofline | None, checks: Sequence[CounterCheck]) -> dict[str, Any]:
    """Return the costs as a document; --run adds `roofline`, and --counters adds `counters`."""
    import msgspec

    from xibench.analysis.costs import block_costs

    document: dict[str, Any] = msgspec.to_builtins(costs) | {"blocks": msgspec.to_builtins(block_costs(costs))}
    if roof is not None:
        document["roofline"] = msgspec.to_builtins(roof) | {"attainable_s": roof.attainable_s}
    if checks:
        document["counters"] = [_counter(check) for check in checks]
    return document


def _counter(check: CounterCheck) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(check)
    return document | {"ratio": check.ratio, "agrees": check.agrees, "explanation": check.explanation}


def _print(
    costs: NetworkCost, roof: Roofline | None, checks: Sequence[CounterCheck], layers: bool, blocks: bool,
    detailed: Sequence[str],
) -> None:  # fmt: skip
    """Print the tables, and last a sentence on each of the blocks in `detailed`."""
    from xibench.cli.render import tables, terminal

    terminal.show(tables.cost_table(costs))
    if roof is not None:
        terminal.show(tables.roofline_table(roof))
        if roof.measured:
            terminal.show(tables.attained_table(roof))
    if blocks:
        terminal.show(tables.block_table(costs, roof))
    if layers:
        terminal.show(tables.layer_table(costs, roof))
        if costs.auxiliary_layers:
            terminal.show(tables.auxiliary_table(costs))
    for block in detailed:
        terminal.show(tables.layer_table(costs, roof, block))
    if checks:
        terminal.show(tables.counter_table(costs, checks))
    for block in detailed:
        print(tables.block_sentence(costs, roof, block))
