"""Output of a comparison: a table for the terminal, Markdown for a pull request, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import typer

from xibench.analysis.comparison_text import conclusions, name_of, of_implementations, row_name, verdict_of
from xibench.cli.options import print_json
from xibench.cli.render import terminal
from xibench.errors import UsageError, XibenchError
from xibench.record import format
from xibench.record.marks import UNLIKE
from xibench.record.text import printable

if TYPE_CHECKING:
    from xibench.ab.compare_sides import DecisionLimits
    from xibench.record.comparison import Compared, Comparison, FigureChange
    from xibench.record.schema import Case

REGRESSION: Final = 3
"""Exit code if any case is slower."""
ORDER: Final = ("slower", "faster", "unsure", "same")
COLUMNS: Final = ("case", "new / base\n[95 %]", "change", "verdict", "n", "detectable")


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Raise UsageError if two output formats are requested. Called before anything is measured."""
    if as_json and as_markdown:
        raise UsageError("received --json and --markdown, expected one of them")


def show(found: Comparison, as_json: bool, as_markdown: bool, names: tuple[str, str] | None = None) -> None:
    """Print a comparison in the requested format.

    Args:
        found: The comparison.
        as_json: Whether to print it as JSON.
        as_markdown: Whether to print it as a comment on a pull request.
        names: What the user calls the base and the new side, in place of the ids of two runs; None: as the comparison.
    """
    base, new = names or (found.base, found.new)
    if as_json:
        print_json(found)
    elif as_markdown:
        print(markdown(found, base, new), end="")
    else:
        if found.pairs:
            terminal.show(table(found, base, new))
        for line in remarks(found):
            terminal.say(line)
        for sentence in conclusions(found):
            terminal.say(sentence)


def show_plan(cases: Sequence[Case], sides: Sequence[str], limits: DecisionLimits, as_json: bool) -> None:
    """Print what a comparison would measure, and how long it may take."""
    from xibench.measure.comparing import min_pairs

    if as_json:
        print_json({"sides": sides, "plan": cases, "limits": limits})
        return
    terminal.say(f"{format.counted(len(cases), 'case')}, each with every two of the sides {', '.join(sides)}:")
    for case in cases:
        terminal.say(f"  {name_of(sides[0], case)}")
    assert limits.budget_s is not None
    print(
        f"Pairs of each: at least {limits.min_pairs}, at least {min_pairs()} to call a difference, at most "
        f"{limits.max_pairs}. It takes at most {format.duration(limits.budget_s)}, or one pair of each if that is "
        "longer; where sides differ clearly, less."
    )


def end(found: Comparison, refusal_is_failure: bool) -> None:
    """Raise the error of a comparison that found a regression, compared nothing or failed.

    Args:
        found: The comparison.
        refusal_is_failure: Whether a single case that was not compared is a failure.

    Raises:
        typer.Exit: A case is slower, and the sides are two that are not implementations; the code is REGRESSION.
        XibenchError: Nothing was compared, or a case failed.
    """
    if found.slower and not of_implementations(found) and not found.rankings:
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


def table(found: Comparison, base: str, new: str) -> terminal.Table:
    """Build the table of a comparison, a row per case, slower ones first."""
    sides = "every side against those before it" if found.rankings else f"{new} against {base}"
    title = f"{_ratio_of(found)}, {sides}; within ±{format.percent(found.threshold)} is the same"
    rows = [_cells(found, pair) for pair in _in_order(found)]
    return terminal.table_of(title, COLUMNS, rows, right=COLUMNS[1:3] + COLUMNS[4:])


def remarks(found: Comparison) -> list[str]:
    """Return the remarks below the table, each once with the cases that it applies to."""
    cases: dict[str, list[str]] = {}
    for pair in found.pairs:
        for text in (
            *(f"{UNLIKE.symbol} not like for like: {item}" for item in pair.unlike),
            *(f"changed: {item}" for item in pair.changed), *pair.notes,
            *(_figure(change) for change in pair.figures or ()),
        ):  # fmt: skip
            cases.setdefault(text, []).append(row_name(found, pair))
    for refused in found.not_compared:
        for why in refused.why:
            name = name_of(found.base, refused.case)
            cases.setdefault(f"not compared: {why}", []).append(name)
    lines = [f"{text} ({format.few(list(dict.fromkeys(names)))})" for text, names in cases.items()]
    return [*lines, *_legend(found)]


def _ratio_of(found: Comparison) -> str:
    """Say what the ratios divide, and what a ratio above 1 means."""
    if any(pair.metric for pair in found.pairs):
        return "Ratios of the figures named (above 1: the new side takes more)"
    return "Ratios of step times (above 1: the new side is slower)"


def markdown(found: Comparison, base: str, new: str) -> str:
    """Format a comparison as a comment on a pull request: the verdicts, the table, and collapsible remarks."""
    counts = {verdict: sum(pair.verdict == verdict for pair in found.pairs) for verdict in ORDER}
    summary = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number) or "nothing compared"
    against = f"`{printable(new)}` against `{printable(base)}`"
    against = "every side against those before it" if found.rankings else against
    lines = [f"### xibench: {summary}", "", f"{_ratio_of(found)}, {against}.", ""]
    heads = [column.replace("\n", " ") for column in COLUMNS]
    lines += ["| " + " | ".join(heads) + " |", "|---|--:|--:|---|--:|--:|"]
    lines += ["| " + " | ".join(map(_in_markdown, _cells(found, pair))) + " |" for pair in _in_order(found)]
    lines += ["", *map(_in_markdown, conclusions(found))]
    notes = [f"- {_in_markdown(line)}" for line in remarks(found)]
    if notes:
        lines += ["", "<details><summary>Remarks</summary>", "", *notes, "", "</details>"]
    return "\n".join(lines) + "\n"


def _in_markdown(text: str) -> str:
    """Escape what would end the cell or the line, or be taken as HTML."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def _in_order(found: Comparison) -> list[Compared]:
    return sorted(found.pairs, key=lambda pair: ORDER.index(pair.verdict))


def _cells(found: Comparison, pair: Compared) -> tuple[str, ...]:
    known = pair.low is not None and pair.high is not None  # one pair shows no change
    mark = f" {UNLIKE.symbol}" if pair.unlike else ""
    return (
        row_name(found, pair),
        f"{pair.ratio:.3f} [{pair.low:.3f}, {pair.high:.3f}]" if known else f"{pair.ratio:.3f} [too few]",
        f"{(pair.ratio - 1) * 100:+.1f} %" if known else format.NONE,
        f"{verdict_of(pair)}{mark}",
        str(pair.n),
        format.NONE if pair.detectable is None else format.percent(pair.detectable),
    )


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
            "looks. Detectable: the smallest change that n pairs with this spread detect with 95 % power."
        )
    elif found.pairs:
        yield (
            "n: processes of the side that has fewer. The two runs were not interleaved: `xibench ab` detects smaller "
            "changes."
        )
