"""Output of a comparison: a table for the terminal, Markdown for a pull request, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import typer

from xibench.cli.options import print_json
from xibench.cli.render import terminal
from xibench.errors import UsageError, XibenchError
from xibench.record import format
from xibench.record.marks import UNLIKE

if TYPE_CHECKING:
    from rich.table import Table

    from xibench.record.comparison import Compared, Comparison, FigureChange

REGRESSION: Final = 3
"""Exit code if any case is slower."""
ORDER: Final = ("slower", "faster", "unsure", "same")
COLUMNS: Final = ("case", "new / base\n[95 %]", "change", "verdict", "n", "would find")


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Raise UsageError if two output formats are requested. Called before anything is measured."""
    if as_json and as_markdown:
        raise UsageError("received --json and --markdown, expected one of them")


def show(found: Comparison, as_json: bool, as_markdown: bool) -> None:
    """Print a comparison in the requested format."""
    if as_json:
        print_json(found)
    elif as_markdown:
        print(markdown(found), end="")
    else:
        terminal.show(table(found))
        for line in remarks(found):
            print(line)
        for pair in found.pairs:
            print(conclusion(found, pair))


def end(found: Comparison, refusal_is_failure: bool) -> None:
    """Raise the error of a comparison that found a regression, compared nothing or failed.

    Args:
        found: The comparison.
        refusal_is_failure: Whether a single case that was not compared is a failure.

    Raises:
        typer.Exit: A case is slower, and the sides are not two implementations; the exit code is REGRESSION.
        XibenchError: Nothing was compared, or a case failed.
    """
    if found.slower and not of_implementations(found):
        raise typer.Exit(REGRESSION)
    if not found.pairs and not found.not_compared:
        raise XibenchError("nothing was compared: neither side holds a case that was measured")
    failed = sum(refused.failed for refused in found.not_compared) + sum(pair.failed for pair in found.pairs)
    refused = len(found.not_compared) if refusal_is_failure or not found.pairs else 0
    if refused:
        none = "nothing was compared" if not found.pairs else f"{format.counted(refused, 'case')} not compared"
        raise XibenchError(f"{none}: the reasons are above")
    if failed:
        raise XibenchError(f"{format.counted(failed, 'case')} failed while being compared: the reasons are above")


def table(found: Comparison) -> Table:
    """Build the table of a comparison, a row per case, slower ones first."""
    limit = format.percent(found.threshold)
    title = f"{found.new} against {found.base}: above 1 is slower; within ±{limit} is the same"
    rows = [_cells(found, pair) for pair in _in_order(found)]
    return terminal.table_of(title, COLUMNS, rows, right=COLUMNS[1:3] + COLUMNS[4:])


def of_implementations(found: Comparison) -> bool:
    """Whether the sides are two implementations, of which neither is a later version of the other."""
    return found.base.startswith("framework:")


def conclusion(found: Comparison, pair: Compared) -> str:
    """Return what can be concluded about a case, as a sentence.

    A ratio of step times is given as people say it: `jax+tuned is 1.43 times as fast as tensorflow+tuned [1.31, 1.56]`.
    """
    base, new = (side.removeprefix("framework:") for side in (found.base, found.new))
    if not pair.paired:  # two stored runs, which have long identifiers
        base, new = "the base run", "the new run"
    where = terminal.case_name(pair.case, not of_implementations(found))
    runs = format.counted(pair.n, "pair" if pair.paired else "process")
    if pair.low is None or pair.high is None:
        return f"{where}: {runs}: too few for a conclusion."
    limit = format.percent(found.threshold)
    fast, slow, speed = (new, base, 1 / pair.ratio) if pair.ratio <= 1 else (base, new, pair.ratio)
    low, high = sorted((1 / pair.low, 1 / pair.high)) if pair.ratio <= 1 else (pair.low, pair.high)
    times = f"{fast} is {speed:.3g} times as fast as {slow} [{low:.3g}, {high:.3g}], {runs}"
    match pair.verdict:
        case "slower" | "faster":
            return f"{where}: {times}."
        case "same":
            return f"{where}: {new} and {base} take the same time within {limit}: {times}."
    if low > 1 + found.threshold:  # the interval and the test that decides disagree, as they may for few processes
        return f"{where}: not certain, although the interval is on one side of 1: {runs} are few for the test. {times}."
    return f"{where}: it is not certain which is faster, or whether they are the same within {limit}: {times}."


def remarks(found: Comparison) -> list[str]:
    """Return the remarks below the table, each once with the cases that it applies to."""
    cases: dict[str, list[str]] = {}
    for pair in found.pairs:
        for text in (
            *(f"{UNLIKE.symbol} unlike: {item}" for item in pair.unlike),
            *(f"changed: {item}" for item in pair.changed), *pair.notes,
            *(_figure(change) for change in pair.figures or ()),
        ):  # fmt: skip
            cases.setdefault(text, []).append(terminal.case_name(pair.case, not of_implementations(found)))
    for refused in found.not_compared:
        for why in refused.why:
            name = terminal.case_name(refused.case, not of_implementations(found))
            cases.setdefault(f"not compared: {why}", []).append(name)
    lines = [f"{text} ({format.few(names)})" for text, names in cases.items()]
    return [*lines, *_legend(found)]


def markdown(found: Comparison) -> str:
    """Format a comparison as a comment on a pull request: the verdicts, the table, and collapsible remarks."""
    counts = {verdict: sum(pair.verdict == verdict for pair in found.pairs) for verdict in ORDER}
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number) or "nothing compared"
    lines = [f"### xibench: {summary}", "", f"`{found.new}` against `{found.base}`, time per step; above 1 is slower."]
    lines.append("")
    heads = [column.replace("\n", " ") for column in COLUMNS]
    lines += ["| " + " | ".join(heads) + " |", "|---|--:|--:|---|--:|--:|"]
    lines += ["| " + " | ".join(_cells(found, pair)) + " |" for pair in _in_order(found)]
    lines += ["", *(conclusion(found, pair) for pair in _in_order(found))]
    notes = remarks(found)
    if notes:
        lines += ["", "<details><summary>Remarks</summary>", "", *(f"- {line}" for line in notes), "", "</details>"]
    return "\n".join(lines) + "\n"


def _in_order(found: Comparison) -> list[Compared]:
    return sorted(found.pairs, key=lambda pair: ORDER.index(pair.verdict))


def _cells(found: Comparison, pair: Compared) -> tuple[str, ...]:
    bounds = "too few" if pair.low is None or pair.high is None else f"{pair.low:.3f}, {pair.high:.3f}"
    mark = f" {UNLIKE.symbol}" if pair.unlike else ""
    name = terminal.case_name(pair.case, not of_implementations(found))
    least = format.NONE if pair.detectable is None else format.percent(pair.detectable)
    return (
        name, f"{pair.ratio:.3f} [{bounds}]", f"{(pair.ratio - 1) * 100:+.1f} %",
        f"{pair.verdict}{mark}", str(pair.n), least,
    )  # fmt: skip


def _figure(change: FigureChange) -> str:
    """Format the change of a metric in its display unit: `slowest step 312 -> 340 ms (+9.0 %, worse)`."""
    from xibench.record.metrics import METRICS

    metric = METRICS[change.metric]
    was, now = (format.figure(metric, value) for value in (change.base, change.new))
    change_text = "" if change.ratio is None else f"{(change.ratio - 1) * 100:+.1f} %"
    change_text += {True: ", better", False: ", worse", None: ""}[change.better]
    return f"{metric.label} {was} -> {now} {metric.shown_unit}".rstrip() + (f" ({change_text})" if change_text else "")


def _legend(found: Comparison) -> Iterable[str]:
    if any(pair.paired for pair in found.pairs):
        yield (
            "n: pairs of fresh processes, measured alternately. Intervals and verdicts stay valid under repeated "
            "looks. Would find: the smallest change that n pairs with this spread detect with 95 % power."
        )
    elif found.pairs:
        yield (
            "n: processes of the side that has fewer. The two runs were not interleaved: `xibench ab` detects smaller "
            "changes."
        )
