"""How far a figure may be trusted: its processes, what disturbed them, and how near it is to the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboards import words
from dashboards.content import Cell, Marked
from dashboards.runs import Row, network_title
from xibench.record import format as fmt

COLUMNS: Final = ("Attained", "Processes", "Set aside", "Failed", "Steps")
"""The headings that end every table of measured cases; see `cells`."""
MOST_NOTES: Final = 4  # in a caption; the rest stands under Settings


def numeric(first: int, columns: Sequence[str]) -> frozenset[int]:
    """The numeric columns of a table from `first` on, those of COLUMNS among them."""
    return frozenset(range(first, len(columns)))


def cells(row: Row) -> tuple[Cell, ...]:
    """Attained fraction, processes that count (marked where they were disturbed), set aside, failed, timed steps."""
    s = row.summary
    processes: Cell = str(s.processes)
    if doubts(row):
        processes = Marked(str(s.processes), "; ".join(doubts(row)))
    return attained(row), processes, str(s.superseded), str(s.failed), str(s.step_s.n if s.step_s else 0)


def recipe(row: Row) -> Cell:
    """The recipe's name, marked where something else ran than was wanted."""
    return Marked(row.recipe, "something else ran than was wanted") if row.summary.substitutions else row.recipe


def bounds(estimate: fmt.Estimate) -> str:
    """The interval's bounds alone."""
    if estimate.low is None or estimate.high is None:
        return "too few steps"
    return " to ".join(fmt.edges(estimate.median, estimate.low, estimate.high))


def attained(row: Row) -> str:
    """`41.2 %` of the roofline, or a dash."""
    share = row.summary.attained
    return fmt.NONE if share is None else fmt.percentage(100 * share)


def beside(row: Row, text: str) -> str:
    """A bar's text, followed by the attained fraction where there is one."""
    share = row.summary.attained
    return text if share is None else f"{text} · {fmt.percentage(100 * share, 0 if share >= 0.1 else 1)}"


def hover(row: Row, *lines: str) -> str:
    """What hovering over a case tells: its name, these lines, and what they rest on."""
    s = row.summary
    steps = f", {fmt.plural(s.step_s.n, 'step')}" if s.step_s else ""
    rests = [f"n = {fmt.plural(s.processes, 'process')}{steps}"]
    if s.attained is not None:
        rests.append(f"{attained(row)} of the roofline attained")
    rests += [words.chart_text(_short(doubt)) for doubt in doubts(row)[:3]]
    return "<br>".join([f"<b>{words.chart_text(row.label)}</b>", *lines, *rests])


def doubts(row: Row) -> list[str]:
    """Why this row's figures need care, a phrase each: disturbances, warm-up cut off, settings that differ."""
    found = [f"disturbed: {reason}" for reason in row.summary.disturbed]
    if row.unsteady:
        found.append(f"warm-up was cut off in {row.unsteady} of {fmt.plural(row.summary.processes, 'process')}")
    if row.summary.cut_short:
        short = fmt.plural(row.summary.processes, "process")
        found.append(f"the time limit ended the sampling in {row.summary.cut_short} of {short}")
    if row.summary.settings_differ:
        found.append(f"its processes differ in {fmt.listing(row.summary.settings_differ)}")
    return found


def sampled(rows: Sequence[Row]) -> str:
    """`n = 3 processes and 90 to 180 timed steps per case; 1 process set aside, 0 failed`"""
    measured = [row.summary for row in rows if row.ok]
    if not measured:
        return "no timed steps"
    processes = [s.processes for s in measured]
    steps = [s.step_s.n for s in measured if s.step_s]
    text = f"n = {fmt.span(min(processes), max(processes), 'process')}"
    if steps:
        text += f" and {fmt.span(min(steps), max(steps), 'timed step')}"
    aside, failed = sum(s.superseded for s in measured), sum(s.failed for s in measured)
    return f"{text} per case; {fmt.plural(aside, 'process')} set aside and repeated, {failed} failed"


def notes(rows: Sequence[Row]) -> list[str]:
    """Footnotes to the marks of these rows, and what was not watched or measured."""
    measured = [row for row in rows if row.ok]
    disturbed = [row for row in measured if row.summary.disturbed]
    found = [
        f"‡ {_who(row, measured)}: disturbed, {'; '.join(row.summary.disturbed)}." for row in disturbed[:MOST_NOTES]
    ]
    if len(disturbed) > MOST_NOTES:
        more = fmt.plural(len(disturbed) - MOST_NOTES, "more case")
        found.append(f"‡ {more} with disturbed processes; see Settings, conditions.")
    unsteady = [row for row in measured if row.unsteady]
    if unsteady:
        who = _names(unsteady, measured)
        found.append(f"§ Warm-up ended at a limit, before a trend test found the steps steady: {who}.")
    short = [row for row in measured if row.summary.cut_short]
    if short:
        who = _names(short, measured)
        found.append(f"¶ Sampling ended early because the time limit was near: {who}.")
    differing = [row for row in measured if row.summary.settings_differ]
    if differing:
        found.append(f"Settings differ between the processes of {_names(differing, measured)}; see Settings.")
    if measured and not any(row.watched for row in measured):
        found.append("What else the machine did meanwhile was not recorded in this run's format.")
    return [*found, *_roofline(measured)]


def _roofline(measured: Sequence[Row]) -> list[str]:
    """What the attained fraction is, or why there is none."""
    rows = [row for row in measured if row.summary.step_s]
    if not rows:
        return []
    if any(row.summary.attained is not None for row in rows):
        return [
            "Attained: time at the roofline of this run's own ceilings (see Costs) over measured time."
        ]
    reasons = dict.fromkeys(row.summary.absent.get("attained", "the run has no ceilings").rstrip(".") for row in rows)
    return [f"No attained fraction of the roofline: {'; '.join(reasons)}."]


def _names(named: Sequence[Row], rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(_who(row, rows) for row in named))
    more = [f"{len(names) - MOST_NOTES} more"] if len(names) > MOST_NOTES else []
    return fmt.listing([*names[:MOST_NOTES], *more])


def _who(row: Row, rows: Sequence[Row]) -> str:
    """The case's name among these rows."""
    batch = f" at batch {row.case.batch}" if len({other.case.batch for other in rows}) > 1 else ""
    return f"{row.framework} {row.recipe} on {network_title(row.case.model, row.case.variant)}{batch}"


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else f"{text[:most - 1]}…"
