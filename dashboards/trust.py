"""How far a figure can be trusted: its processes, disturbances, and its attained fraction of the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboards import words
from dashboards.content import Cell, Marked, Note
from dashboards.runs import Row, network_title
from xibench.record import format as fmt
from xibench.record import marks
from xibench.scenarios import described, qualifier

COLUMNS: Final = ("Attained", "Processes", "Superseded", "Failed", "Steps")
"""The last headings of every table of measured cases; `cells` fills them."""


def numeric(first: int, columns: Sequence[str]) -> frozenset[int]:
    """The numeric columns of a table: all from index `first` on, including COLUMNS."""
    return frozenset(range(first, len(columns)))


def cells(row: Row) -> tuple[Cell, ...]:
    """Attained fraction, counted processes (marked if disturbed), superseded and failed processes, timed steps."""
    s = row.summary
    processes: Cell = str(s.processes)
    if doubts(row):
        processes = Marked(str(s.processes), "; ".join(doubts(row)))
    return attained(row), processes, str(s.superseded), str(s.failed), str(s.step_s.n if s.step_s else 0)


def recipe(row: Row) -> Cell:
    """The recipe's name, marked if a requested setting was substituted."""
    return Marked(row.recipe, "a requested setting was substituted") if row.summary.substitutions else row.recipe


def bounds(estimate: fmt.Estimate) -> str:
    """The bounds of the interval: `12.1 to 12.5`."""
    if estimate.low is None or estimate.high is None:
        return "too few steps"
    return " to ".join(fmt.edges(estimate.median, estimate.low, estimate.high))


def attained(row: Row) -> str:
    """The attained fraction of the roofline, `41.2 %`, or a dash."""
    share = row.summary.attained
    return fmt.NONE if share is None else fmt.percentage(100 * share)


def beside(row: Row, text: str) -> str:
    """The label of a bar, followed by the attained fraction if there is one."""
    share = row.summary.attained
    return text if share is None else f"{text} · {fmt.percentage(100 * share, 0 if share >= 0.1 else 1)}"


def hover(row: Row, *lines: str) -> str:
    """The hover text of a case: its name, these lines, sample counts, attained fraction and caveats."""
    s = row.summary
    steps = f", {fmt.plural(s.step_s.n, 'step')}" if s.step_s else ""
    evidence = [f"n = {fmt.plural(s.processes, 'process')}{steps}"]
    if s.attained is not None:
        evidence.append(f"{attained(row)} of the roofline attained")
    evidence += [words.chart_text(_short(doubt)) for doubt in doubts(row)[:3]]
    return "<br>".join([f"<b>{words.chart_text(row.label)}</b>", *lines, *evidence])


def doubts(row: Row) -> list[str]:
    """Reasons to read this row with care, one phrase each: disturbances, cut-off warm-up, differing settings."""
    found = [f"disturbed: {reason}" for reason in row.summary.disturbed]
    if row.summary.bracketed:
        found.append(f"not ranked: others took {fmt.percent(row.summary.taken_share)} of the usable cores' time")
    if row.summary.unsteady:
        of = fmt.plural(row.summary.processes, "process")
        found.append(f"warm-up reached its limit in {row.summary.unsteady} of {of}")
    if row.summary.cut_short:
        short = fmt.plural(row.summary.processes, "process")
        found.append(f"sampling was cut short by the time limit in {row.summary.cut_short} of {short}")
    if row.summary.settings_differ:
        found.append(f"processes differ in {fmt.listing(row.summary.settings_differ)}")
    return found


def sampled(rows: Sequence[Row]) -> str:
    """`n = 3 processes and 90 to 180 timed steps per case; 1 process superseded, 0 failed`"""
    measured = [row.summary for row in rows if row.ok]
    if not measured:
        return "no timed steps"
    processes = [s.processes for s in measured]
    steps = [s.step_s.n for s in measured if s.step_s]
    text = f"n = {fmt.span(min(processes), max(processes), 'process')}"
    if steps:
        text += f" and {fmt.span(min(steps), max(steps), 'timed step')}"
    superseded, failed = sum(s.superseded for s in measured), sum(s.failed for s in measured)
    return f"{text} per case; {fmt.plural(superseded, 'process')} disturbed and superseded, {failed} failed"


def notes(rows: Sequence[Row]) -> list[Note]:
    """The notes on the marks of these rows, and on what was not recorded or measured."""
    measured = [row for row in rows if row.ok]
    found = [
        Note(f"{marks.SUBSTITUTED.symbol} requested {s.wanted}, ran {s.ran} instead: {s.why}", (who(row),))
        for row in measured for s in row.summary.substitutions
    ]
    disturbed = tuple(f"{who(row)} ({', '.join(row.summary.disturbed)})" for row in measured if row.summary.disturbed)
    if disturbed:
        found.append(Note(f"{marks.DISTURBED.symbol} disturbed", disturbed))
    for mark in (marks.UNSTEADY, marks.CUT_SHORT, marks.BRACKETED):
        cases = tuple(who(row) for row in measured if mark.applies and mark.applies(row.summary))
        if cases:
            found.append(Note(f"{mark.symbol} {mark.meaning}", cases))
    differing = tuple(who(row) for row in measured if row.summary.settings_differ)
    if differing:
        found.append(Note("Settings differ between the processes of a case; see the Settings page", differing))
    if measured and not any(row.watched for row in measured):
        found.append(Note("The format of this run file does not record the load of other programs"))
    return [*found, *_roofline(measured)]


def _roofline(measured: Sequence[Row]) -> list[Note]:
    """The definition of the attained fraction, or the reason why there is none."""
    rows = [row for row in measured if row.summary.step_s]
    if not rows:
        return []
    if any(row.summary.attained is not None for row in rows):
        text = "Attained: lower bound on the time from this run's measured roofline (see Costs), over the measured time"
        return [Note(text)]
    why = (row.summary.absent.get("attained", "the run measured no ceilings") for row in rows)
    reasons = dict.fromkeys(reason.rstrip(".") for reason in why)
    return [Note(f"No attained fraction of the roofline: {'; '.join(reasons)}")]


def who(row: Row) -> str:
    """Name a case so that it can be distinguished from every other case of a page."""
    case = row.case
    batch = "" if described(case.scenario).single_image else f" at batch {case.batch}"
    axes = [qualifier(case.scenario), case.precision if case.precision != "fp32" else ""]
    further = "".join(f", {axis}" for axis in axes if axis)
    return f"{row.framework} {row.recipe} on {network_title(case.model, case.variant)}{batch}{further}"


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else f"{text[:most - 1]}…"
