"""`xibench history`: what changed over many nights or commits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from xibench.cli.commands.compare import Markdown
from xibench.cli.options import Json, expand_options, positive_seconds, print_json
from xibench.cli.planning import command_line
from xibench.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from xibench.history.confirm import Ratio
    from xibench.history.report import History
    from xibench.history.series import Subject

DEFAULT: Final = "results/asv"
CONFIRMATIONS: Final = Path("results/confirmations.jsonl")
NOTES: Final = Path("results/notes.toml")
PAIRS: Final = Path("results/ab")
BUDGET_S: Final = 300.0
UNDECIDED: Final = 4


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """Options of measuring again."""

    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Measure what is to confirm again: `xibench ab` of the commits on both sides, then of those between "
            "them until one is left. Needs a checkout with the commits.",
        ),
    ] = False
    budget: Annotated[
        float | None,
        typer.Option(
            parser=positive_seconds, metavar="S",
            help=f"Seconds for each comparison of two commits.  [default: {BUDGET_S:.0f}]",
        ),
    ] = None  # fmt: skip
    confirmations: Annotated[
        Path, typer.Option("--confirmations", metavar="FILE", help="What --confirm found, kept from night to night.")
    ] = CONFIRMATIONS
    notes: Annotated[
        Path, typer.Option("--notes", metavar="FILE", help="Notes that explain or mute a change (TOML).")
    ] = NOTES


@expand_options
def history(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Folders of asv's results, files or folders of pytest-benchmark, run files or folders of them.  "
            f"[default: {DEFAULT}]",
        ),
    ] = None,
    *,
    again: ConfirmOptions,
    atom: Annotated[
        Path | None, typer.Option("--atom", metavar="FILE", help="Also write the changes as an Atom feed.")
    ] = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> None:
    """Find what became slower or faster over many nights or commits.

    Reads results of asv, files of pytest-benchmark and run files, a series per benchmark and machine, and finds the
    nights on which a series changed its level, against the noise that the machine's series show: correlated from one
    night to the next, or drifting. A change is a candidate until --confirm has measured it again. A return to an
    earlier level, what went away, and what most series of a machine do at once are not candidates. Exit code 3 for a
    confirmed regression, 4 if one could not be decided.

    \b
    Example:  xibench history results/asv
              xibench history results/asv --confirm --atom site/history.xml
    """
    from xibench.cli.render import history_tables, terminal
    from xibench.history import notes as noted
    from xibench.history.confirm import Confirmations
    from xibench.history.feed import atom as feed
    from xibench.history.report import confirm_changes, judge, read, remembered

    if as_json and as_markdown:
        raise UsageError("--json and --markdown: received both, expected one")
    confirmations, people = Confirmations(again.confirmations), noted.read(again.notes)
    paths = [Path(source) for source in sources or [DEFAULT]]
    figures = judge(read(paths, lambda line: terminal.say(f"warning: {line}", sys.stderr)))
    found = remembered(figures, confirmations, people)
    if again.confirm:
        compare = _comparing(again.budget or BUDGET_S)
        confirm_changes(found, confirmations, compare, lambda line: terminal.say(line, sys.stderr))
        found = remembered(figures, confirmations, people)

    if atom is not None:
        history_tables.write(atom, feed(found))
    if as_json:
        print_json(found)
    elif as_markdown:
        print(history_tables.markdown(found))
    else:
        history_tables.show(found)
    _end(found)


def _comparing(budget_s: float) -> Callable[[Subject, str, str], Ratio]:
    """Return a function that compares two commits with `xibench ab`."""
    from xibench.ab.compare_sides import DecisionLimits, compare_into_file, planned
    from xibench.cli.render.progress import PairProgress
    from xibench.errors import XibenchError
    from xibench.history.confirm import Ratio
    from xibench.run.plan import Selection

    def compare(subject: Subject, before: str, first: str) -> Ratio:
        selection = Selection(
            frameworks=(subject.framework,), models=(subject.model,), variants=(subject.variant,),
            recipes=(subject.recipe,), precisions=(subject.precision,), batches=(subject.batch,),
            resolutions=(subject.resolution,) if subject.resolution else None,
        )  # fmt: skip
        sides = [f"git:{before}", f"git:{first}"]
        with planned(selection, sides) as (cases, resolved):
            limits = DecisionLimits.of(budget_s=budget_s)
            found, path, stopped = compare_into_file(
                cases, resolved, [subject.metric], limits, PAIRS, command_line(), PairProgress(sys.stderr, sides[0])
            )
        print(file=sys.stderr)
        if stopped:
            raise Interrupted(f"interrupted; what was confirmed until then is kept, and the last pairs are in {path}")
        if not found.pairs:
            raise XibenchError("; ".join(why for case in found.not_compared for why in case.why))
        [one] = found.pairs
        return Ratio(one.verdict, one.ratio, one.low, one.high, one.n)

    return compare


def _end(found: History) -> None:
    """Raise typer.Exit if a regression is confirmed, or else if one could not be decided."""
    from xibench.cli.render.comparison_tables import REGRESSION

    states = {change.state for each in found.series for change in each.changes if change.ratio > 1 and not change.muted}
    if "confirmed" in states:
        raise typer.Exit(REGRESSION)
    if "undecided" in states:
        raise typer.Exit(UNDECIDED)
