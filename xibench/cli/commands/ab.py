"""`xibench ab`: two sides measured interleaved, pair by pair, until every case is decided."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from xibench.cli.commands.compare import Markdown, Threshold
from xibench.cli.options import Json, Only, SelectionOptions, expand_options, positive_seconds, whole_number
from xibench.cli.planning import command_line, selection
from xibench.errors import Interrupted, UsageError

SIDE: Final = (
    "tree (the working tree), git:REV, python:PATH (an interpreter), recipe:NAME, recipe:FILE, or framework:NAME, "
    "optionally with a recipe, as in framework:jax+tuned."
)
PAIRS: Final = Path("results/ab")

ComparedOptions = Annotated[
    SelectionOptions,
    Only(
        "framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device", "images", "weights",
        "seed",
    ),
]  # fmt: skip


@expand_options
def ab(
    base: Annotated[str, typer.Option("--base", metavar="SIDE", help=f"The side to compare with: {SIDE}")],
    new: Annotated[
        str, typer.Option("--new", metavar="SIDE", help="The side that may be slower or faster: any of the same.")
    ] = "tree",
    *,
    compared: ComparedOptions,
    threshold: Threshold = None,
    budget: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds,
            metavar="S",
            help="Total seconds; no pair starts that would end later.  [default: until every case is decided]",
        ),
    ] = None,
    max_pairs: Annotated[
        int | None,
        typer.Option(parser=whole_number, metavar="N", help="Maximum number of pairs per case.  [default: 30]"),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="File of pairs (.jsonl) or folder to write.")
    ] = PAIRS,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Compare two commits, interpreters, recipes or implementations, measured interleaved.

    A pair is one fresh process of each side; both stay alive and run alternately in short bursts of steps, in random
    order. Pairs are added until each case has a verdict or the budget is spent. Exit code 3 if any case is slower
    (never for two implementations), 1 if a case failed.

    \b
    Example:  xibench ab --base git:HEAD~1 -f pytorch -m xception --batch 1
              xibench ab --base recipe:default --new recipe:tuned -f jax
              xibench ab --base framework:tensorflow+tuned --new framework:jax+tuned -m xception --batch 1
    """
    from xibench.ab.compare_sides import DecisionLimits, compare_selection
    from xibench.cli.render import comparison_tables, terminal
    from xibench.cli.render.progress import PairProgress

    comparison_tables.check_form(as_json, as_markdown)
    _refuse_contradictions(base, new, compared)
    limits = DecisionLimits.of(threshold=threshold, budget_s=budget, max_pairs=max_pairs, seed=compared.seed)
    found, path, stopped = compare_selection(
        selection(compared), (base, new), limits, out, command_line(), PairProgress(sys.stderr)
    )
    comparison_tables.show(found, as_json, as_markdown)
    if stopped:
        raise Interrupted(f"interrupted; the pairs measured so far are in {path}")
    print(file=sys.stderr)
    terminal.say(f"File of pairs:  {path}", sys.stderr)
    comparison_tables.end(found, refusal_is_failure=False)


def _refuse_contradictions(base: str, new: str, compared: SelectionOptions) -> None:
    """Raise UsageError if the sides are the same, or if an option is void because a side sets it."""
    if base == new and not base.startswith(("git:", "python:")):  # one of those against itself tests for noise
        raise UsageError(f"--base and --new: received {base} for both, expected two different sides")
    of_recipes = [side for side in (base, new) if side.startswith("recipe:")]
    of_frameworks = [side for side in (base, new) if side.startswith("framework:")]
    for option, values, sides in (
        ("--recipe", compared.recipe, [*of_recipes, *(side for side in of_frameworks if "+" in side)]),
        ("--framework", compared.framework, of_frameworks),
    ):
        if values and sides:
            raise UsageError(
                f"{option}: received {', '.join(values)} beside side {sides[0]}, which sets it as well; leave one out"
            )
