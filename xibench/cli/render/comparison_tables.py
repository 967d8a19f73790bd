"""A comparison for people: a table on a terminal, Markdown for a pull request, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import typer

from xibench.cli.options import print_json
from xibench.cli.render import terminal
from xibench.errors import UsageError, XibenchError
from xibench.record import format

if TYPE_CHECKING:
    from rich.table import Table

    from xibench.record.comparison import Compared, Comparison, FigureChange

REGRESSION: Final = 3
"""The exit code if any case is slower."""
ORDER: Final = ("slower", "faster", "unsure", "same")
COLUMNS: Final = ("case", "new / base\n[95 %]", "change", "verdict", "n", "would find")


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Raises UsageError if two forms are asked for: before anything is measured."""
    if as_json and as_markdown:
        raise UsageError("received --json and --markdown, expected one of them")


def show(found: Comparison, as_json: bool, as_markdown: bool) -> None:
    """Prints a comparison in the form asked for."""
    if as_json:
        print_json(found)
    elif as_markdown:
        print(markdown(found), end="")
    else:
        terminal.show(table(found))
        for line in remarks(found):
            print(line)


def end(found: Comparison, refusal_is_failure: bool) -> None:
    """Ends the command: REGRESSION if a case is slower; else a failure if nothing was compared, or one case failed.

    refusal_is_failure: whether a single case without a verdict is a failure. Raises XibenchError, typer.Exit.
    """
    if found.slower:
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
    """A row per case, slower ones first."""
    limit = format.percent(found.threshold)
    title = f"{found.new} against {found.base}: above 1 is slower; within ±{limit} is the same"
    return terminal.table_of(title, COLUMNS, map(_cells, _in_order(found)), right=COLUMNS[1:3] + COLUMNS[4:])


def remarks(found: Comparison) -> list[str]:
    """What must be read beside the table, each remark once with the cases that it holds for."""
    said: dict[str, list[str]] = {}
    for pair in found.pairs:
        for text in (
            *(f"unlike: {item}" for item in pair.unlike), *(f"changed: {item}" for item in pair.changed), *pair.notes,
            *(_figure(change) for change in pair.figures or ()),
        ):  # fmt: skip
            said.setdefault(text, []).append(terminal.case_name(pair.case))
    for refused in found.not_compared:
        for why in refused.why:
            said.setdefault(f"not compared: {why}", []).append(terminal.case_name(refused.case))
    lines = [f"{text} ({format.few(names)})" for text, names in said.items()]
    return [*lines, *_reading(found)]


def markdown(found: Comparison) -> str:
    """The same as a comment for a pull request: the verdict first, the table, remarks folded away."""
    counts = {verdict: sum(pair.verdict == verdict for pair in found.pairs) for verdict in ORDER}
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number) or "nothing compared"
    lines = [f"### xibench: {summary}", "", f"`{found.new}` against `{found.base}`, time per step; above 1 is slower."]
    lines.append("")
    heads = [column.replace("\n", " ") for column in COLUMNS]
    lines += ["| " + " | ".join(heads) + " |", "|---|--:|--:|---|--:|--:|"]
    lines += ["| " + " | ".join(_cells(pair)) + " |" for pair in _in_order(found)]
    said = remarks(found)
    if said:
        lines += ["", "<details><summary>Remarks</summary>", "", *(f"- {line}" for line in said), "", "</details>"]
    return "\n".join(lines) + "\n"


def _in_order(found: Comparison) -> list[Compared]:
    return sorted(found.pairs, key=lambda pair: ORDER.index(pair.verdict))


def _cells(pair: Compared) -> tuple[str, ...]:
    bounds = "too few" if pair.low is None or pair.high is None else f"{pair.low:.3f}, {pair.high:.3f}"
    mark = " †" if pair.unlike else ""
    found = format.NONE if pair.detectable is None else format.percent(pair.detectable)
    return (
        terminal.case_name(pair.case), f"{pair.ratio:.3f} [{bounds}]", f"{(pair.ratio - 1) * 100:+.1f} %",
        f"{pair.verdict}{mark}", str(pair.n), found,
    )  # fmt: skip


def _figure(change: FigureChange) -> str:
    """`slowest step 312 -> 340 ms (+9.0 %, worse)`, in the unit in which the metric is shown."""
    from xibench.record.metrics import METRICS

    metric = METRICS[change.metric]
    was, now = (format.figure(metric, value) for value in (change.base, change.new))
    said = "" if change.ratio is None else f"{(change.ratio - 1) * 100:+.1f} %"
    said += {True: ", better", False: ", worse", None: ""}[change.better]
    return f"{metric.label} {was} -> {now} {metric.shown_unit}".rstrip() + (f" ({said})" if said else "")


def _reading(found: Comparison) -> Iterable[str]:
    if any(pair.paired for pair in found.pairs):
        yield (
            "n: pairs of fresh processes, measured alternately. Intervals and verdicts hold however often one looks. "
            "Would find: the smallest change that n pairs of this spread find 95 times in 100."
        )
    elif found.pairs:
        yield "n: processes of the side that has fewer. The two runs were not interleaved: `xibench ab` is sharper."
