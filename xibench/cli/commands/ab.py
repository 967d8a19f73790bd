"""`xibench ab`: two or more sides measured interleaved, pair by pair, until every case is decided."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from xibench.cli.commands.compare import Markdown, Threshold
from xibench.cli.options import (
    Json,
    Names,
    Only,
    SelectionOptions,
    count_from_zero,
    expand_options,
    list_option,
    positive_seconds,
    whole_number,
)
from xibench.cli.planning import command_line, selection
from xibench.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE: Final = (
    "tree (the working tree), git:REV, python:PATH (an interpreter), recipe:NAME, recipe:FILE, precision:NAME, or "
    "framework:NAME, optionally with a recipe, as in framework:jax+tuned."
)
BUDGET_S: Final = 300.0
"""Default budget of a case and two sides."""
MAX_SIDES: Final = 6
"""Every two of the sides are compared: 15 comparisons of six."""
PAIRS: Final = Path("results/ab")

ComparedOptions = Annotated[
    SelectionOptions,
    Only(
        "framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device", "images", "weights",
        "seed",
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SidesOptions:
    """Options that name the sides and what they are compared by."""

    base: Annotated[str | None, typer.Option(metavar="SIDE", help=f"The side to compare with: {SIDE}")] = None
    new: Annotated[
        str | None,
        typer.Option(metavar="SIDE", help="The side that may be slower or faster: any of the same.  [default: tree]"),
    ] = None
    sides: Annotated[
        Names,
        list_option(
            "--sides", metavar="SIDE",
            help_text="Instead of --base and --new: several sides, separated by commas, to be ranked.",
        ),
    ] = None  # fmt: skip
    metric: Annotated[
        Names,
        list_option(
            "--metric", metavar="NAME",
            help_text="What gets a verdict, separated by commas: step, compile, first-step, first-result (compile and "
            "first-step), memory, or job:N, the time for N images with the start of the process.  [default: step]",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """Options that say when a case is decided, and when the comparison ends."""

    threshold: Threshold = None
    budget: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help=f"Total seconds; no pair starts that would end later.  [default: {BUDGET_S:.0f} for each case and two "
            "sides]",
        ),
    ] = None  # fmt: skip
    max_pairs: Annotated[
        int | None,
        typer.Option(parser=whole_number, metavar="N", help="Maximum number of pairs per case.  [default: 30]"),
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(
            parser=count_from_zero, metavar="N",
            help="Disturbed pairs per case that are repeated; further ones count and are marked. On a machine that is "
            "never quiet: 0.  [default: 3]",
        ),
    ] = None  # fmt: skip


@expand_options
def ab(
    *,
    named: SidesOptions,
    compared: ComparedOptions,
    ending: LimitOptions,
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="File of pairs (.jsonl) or folder to write.")
    ] = PAIRS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comparisons and how long they may take; measure nothing.")
    ] = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Compare commits, interpreters, recipes, precisions or implementations, measured interleaved.

    A pair is one fresh process of each of two sides; both stay alive and run alternately in short bursts of steps, in
    random order. Pairs are added until each case has a verdict or the budget is spent. `xibench show FILE` and `xibench
    report FILE` read the file of pairs. Exit code 3 if any case is slower (never for implementations, or for more than
    two sides), 1 if a case failed.

    \b
    Example:  xibench ab --base git:HEAD~1 -f pytorch -m xception --batch 1
              xibench ab --base recipe:default --new recipe:tuned -f jax --metric job:1000,memory
              xibench ab --base precision:fp32 --new precision:bf16 -f pytorch --recipe tuned
              xibench ab --sides framework:pytorch,framework:tensorflow,framework:jax -m xception --batch 1
    """
    from xibench.ab.compare_sides import DecisionLimits, compare_into_file, planned
    from xibench.cli.render import comparison_tables, terminal
    from xibench.cli.render.progress import PairProgress
    from xibench.record import pair_metrics

    # Sides and metrics
    comparison_tables.check_form(as_json, as_markdown)
    sides = _sides(named)
    _refuse_contradictions(sides, compared)
    metrics = [pair_metrics.find(name).name for name in named.metric or [pair_metrics.STEP]]

    with planned(selection(compared), sides) as (cases, resolved):
        comparisons = len(cases) * math.comb(len(resolved), 2)
        limits = DecisionLimits.of(
            threshold=ending.threshold, budget_s=ending.budget or BUDGET_S * comparisons, max_pairs=ending.max_pairs,
            repeats=ending.repeats, seed=compared.seed,
        )  # fmt: skip
        if dry_run:
            comparison_tables.show_plan(cases, sides, limits, as_json)
            return
        found, path, stopped = compare_into_file(
            cases, resolved, metrics, limits, out, command_line(), PairProgress(sys.stderr, sides[0])
        )
    comparison_tables.show(found, as_json, as_markdown)
    if stopped:
        raise Interrupted(f"interrupted; the pairs measured so far are in {path}")
    print(file=sys.stderr)
    terminal.say(f"File of pairs:  {path}", sys.stderr)
    comparison_tables.end(found, refusal_is_failure=False)


def _sides(named: SidesOptions) -> list[str]:
    """Return the sides that the options name. Raises UsageError if they contradict each other or name too few."""
    if named.sides is None:
        if named.base is None:
            raise UsageError("received no side to compare with, expected --base SIDE, or --sides with several")
        if named.new is None and named.base.startswith(("precision:", "framework:")):
            kind = named.base.partition(":")[0]
            raise UsageError(f"--base: received {named.base} alone, expected a {kind} beside it: --new {kind}:NAME")
        return [named.base, named.new or "tree"]
    received = ", ".join(named.sides)
    if named.base is not None or named.new is not None:
        raise UsageError(f"--sides: received {received} beside --base or --new; give either")
    if not 2 <= len(named.sides) <= MAX_SIDES:
        raise UsageError(f"--sides: received {received}, expected 2 to {MAX_SIDES} different ones")
    return named.sides


def _refuse_contradictions(sides: Sequence[str], compared: SelectionOptions) -> None:
    """Raise UsageError if two sides are the same, or if an option is void because a side sets it."""
    for side in sides:
        if sides.count(side) > 1 and not side.startswith(("git:", "python:")):  # one of those against itself: for noise
            raise UsageError(f"--base and --new: received {side} for both, expected two different sides")
    of_frameworks = [side for side in sides if side.startswith("framework:")]
    of_recipes = [side for side in sides if side.startswith("recipe:")]
    for option, values, setting in (
        ("--recipe", compared.recipe, [*of_recipes, *(side for side in of_frameworks if "+" in side)]),
        ("--precision", compared.precision, [side for side in sides if side.startswith("precision:")]),
        ("--framework", compared.framework, of_frameworks),
    ):
        if values and setting:
            raise UsageError(
                f"{option}: received {', '.join(values)} beside side {setting[0]}, which sets it as well; leave one out"
            )
