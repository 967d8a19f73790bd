"""`xibench ab`: two sides measured interleaved, pair by pair, until every case is decided."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from xibench.cli import run_options
from xibench.cli.commands.compare import Markdown, Threshold
from xibench.cli.options import Json, positive_seconds, split, whole_number, whole_numbers
from xibench.cli.recipe_files import with_files
from xibench.cli.render import terminal
from xibench.errors import Interrupted
from xibench.record import format

if TYPE_CHECKING:
    from xibench.record.comparison import Compared
    from xibench.record.pairs import Pair
    from xibench.record.schema import Case

SIDE: Final = "tree (the checkout as it is), git:REV, python:PATH, recipe:NAME or recipe:FILE."
PAIRS: Final = Path("results/ab")


def ab(
    base: Annotated[str, typer.Option("--base", metavar="SIDE", help=SIDE)],
    new: Annotated[str, typer.Option("--new", metavar="SIDE", help="Likewise.")] = "tree",
    framework: run_options.Frameworks = None,
    model: run_options.Models = None,
    variant: run_options.Variants = None,
    recipe: run_options.Recipes = None,
    precision: run_options.Precisions = None,
    batch: run_options.Batches = None,
    resolution: run_options.Resolutions = None,
    device: run_options.Device = None,
    images: run_options.Images = None,
    weights: run_options.Weights = None,
    seed: run_options.Seed = None,
    threshold: Threshold = None,
    budget: Annotated[
        float | None,
        typer.Option(parser=positive_seconds, metavar="S", help="Seconds in all; no pair starts that would end later."),
    ] = None,
    max_pairs: Annotated[
        int | None, typer.Option(parser=whole_number, metavar="N", help="Pairs a case, at most.  [default: 30]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="File of pairs (.jsonl) or folder.")] = PAIRS,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Compare two checkouts, interpreters or recipes, interleaved, until each case is decided or the budget is spent.

    A pair is a fresh process of either side, both alive, only one of them working, alternating in short bursts in
    random order. Pairs are added until the verdict is certain. Exit code 3 if anything is slower, 1 if a case failed.

    \b
    Example:  xibench ab --base git:HEAD~1 -f pytorch -m xception --batch 1
              xibench ab --base recipe:default --new recipe:tuned -f jax
    """
    from xibench.ab import compare_sides as ab_
    from xibench.ab import sides
    from xibench.cli.render import comparison_tables
    from xibench.record.pair_store import PairsFile
    from xibench.run import plan

    comparison_tables.check_form(as_json, as_markdown)
    given: dict[str, Any] = with_files({
        "frameworks": split(framework, "--framework"), "models": split(model, "--model"),
        "variants": split(variant, "--variant"), "recipes": split(recipe, "--recipe"),
        "precisions": split(precision, "--precision"), "batches": whole_numbers(batch, "--batch"),
        "resolutions": whole_numbers(resolution, "--resolution"), "device": device, "images": images,
        "weights": weights, "seed": seed,
    })  # fmt: skip
    cases = plan.cases(replace(plan.Selection(), **{k: v for k, v in given.items() if v not in (None, ())}))
    asked: dict[str, Any] = {"threshold": threshold, "budget_s": budget, "most_pairs": max_pairs, "seed": seed}
    limits = replace(ab_.Limits(), **{k: v for k, v in asked.items() if v is not None})
    with tempfile.TemporaryDirectory(prefix="xibench-sides-") as scratch:
        both = (sides.resolve(base, Path(scratch)), sides.resolve(new, Path(scratch)))
        command = shlex.join(["xibench", *sys.argv[1:]])
        with PairsFile(out, ab_.header(cases, both, limits, command)) as pairs_file:
            try:
                found, stopped = ab_.compare_sides(cases, both, limits, pairs_file, PlainWatch()), False
            except ab_.Stopped as stop:
                found, stopped = stop.found, True
    comparison_tables.show(found, as_json, as_markdown)
    if stopped:
        raise Interrupted(f"interrupted; the pairs that were measured are in {pairs_file.path}")
    print(f"\nFile of pairs:  {pairs_file.path}", file=sys.stderr)
    comparison_tables.end(found, refusal_is_failure=False)


class PlainWatch:
    """A line on stderr per pair."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._open = 0

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Keeps how many cases are open."""
        self._open = open_cases

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Writes what is known of the case."""
        known = f"failed: {pair.reason}"
        if so_far is not None:
            bounds = "" if so_far.low is None else f" [{so_far.low:.3f}, {so_far.high:.3f}]"
            known = f"{so_far.ratio:.3f}{bounds} {so_far.verdict}"
        aside = " (disturbed, to be repeated)" if pair.set_aside else ""
        spent = format.duration(time.monotonic() - self._began)
        line = f"pair {pair.number + 1} of {terminal.case_name(pair.case)}: {known}{aside}"
        print(f"{line} ({format.counted(self._open, 'case')} open, {spent})", file=sys.stderr, flush=True)
