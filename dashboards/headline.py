"""The headline table of a run as Markdown: printed, or embedded between the two markers of a document.

    python -m dashboards.headline                      the newest run in results/runs
    python -m dashboards.headline RUN                  that run
    python -m dashboards.headline RUN README.md        that run, into the document
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dashboards import captions, trust, words
from dashboards.runs import Group, LoadedRun, Row, framework_order, groups, load, network_title
from xibench.errors import InputError, XibenchError
from xibench.record import documents, marks
from xibench.record import format as fmt
from xibench.record.store import latest
from xibench.scenarios import described

NAME: Final = "headline"
MAX_NAMED: Final = 4  # cases that a note names; the mark is beside each figure
RUNS: Final = Path("results/runs")
BEGIN, END = documents.marks(NAME)


def headline(run: LoadedRun) -> str:
    """Markdown tables of images per second with 95 % intervals, one per group of equal settings, and the conditions.

    If the run measured ceilings, each figure is followed by the attained fraction of the roofline.
    """
    parts = [_table(group) for group in groups([run], "images_per_s")]
    if not parts:
        parts = ["No case of this run has finished yet."]
    return "\n\n".join([*parts, conditions(run)])


def embed(document: str, text: str) -> str:
    """Return the document with the headline between its markers.

    Raises:
        InputError: the document does not contain exactly one pair of markers.
    """
    return documents.embed(document, text, NAME)


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> int:
    """Print or embed the headline; return the exit code."""
    return print_or_embed(arguments, NAME, headline)


def print_or_embed(arguments: Sequence[str], name: str, make: Callable[[LoadedRun], str]) -> int:
    """Print text generated from a run file, or embed it between the two markers of a document.

    Args:
        arguments: Empty (the newest run in results/runs), a run file, or a run file and a document.
        name: Name of the markers.
        make: Makes the text of a run.

    Returns:
        The exit code.
    """
    try:
        if len(arguments) > 2:
            raise InputError(f"{len(arguments)} arguments, expected at most two: RUN and a document")
        text = make(load(Path(arguments[0]) if arguments else latest(RUNS)))
        if len(arguments) < 2:
            print(text)
            return 0
        document = Path(arguments[1])
        document.write_text(documents.embed(document.read_text(encoding="utf-8"), text, name), encoding="utf-8")
    except (XibenchError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


def _table(group: Group) -> str:
    """One row per network and recipe, one column per framework."""
    shown = sorted({row.case.framework for row in group.rows}, key=framework_order)
    share = ", attained fraction of the roofline" if any(r.summary.attained is not None for r in group.rows) else ""
    lines = [
        f"{group.title}: images per second, {captions.estimate(group)} [95 % interval]{share}",
        "",
        f"| network | recipe | {' | '.join(words.name(name) for name in shown)} |",
        f"|---|---|{'--:|' * len(shown)}",
    ]
    for panel in group.panels:
        for recipe in dict.fromkeys(row.case.recipe for row in panel.rows):
            cells = [_cell([r for r in panel.rows if (r.case.framework, r.case.recipe) == (f, recipe)]) for f in shown]
            lines.append(f"| {panel.title}, {panel.resolution} px | {words.name(recipe)} | {' | '.join(cells)} |")
    return "\n".join([*lines, *footnotes(group.rows)])


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return fmt.NONE
    row = rows[0]
    throughput = row.summary.images_per_s
    if throughput is None:
        return words.status(row.record.status)
    share = "" if row.summary.attained is None else f", {trust.attained(row)}"
    return f"{marks.shown(f'{fmt.estimate(throughput)}{share}', row.summary)}{row.mark}"


def footnotes(rows: Sequence[Row]) -> list[str]:
    """The notes on the marks of these rows, below an empty line; empty if no row has a mark."""
    notes = [
        f"{marks.SUBSTITUTED.symbol} {row.framework}, {row.case.recipe}: requested {s.wanted}, ran {s.ran} instead: "
        f"{s.why}."
        for row in rows for s in row.summary.substitutions
    ]
    disturbed = "disturbed by other programs or the machine, see the run file"
    for mark in (marks.DISTURBED, marks.UNSTEADY, marks.CUT_SHORT, marks.BRACKETED):
        cases = [_on(row) for row in rows if mark.applies and mark.applies(row.summary)]
        if cases:
            meaning = disturbed if mark is marks.DISTURBED else mark.meaning
            more = [f"{len(cases) - MAX_NAMED} more"] if len(cases) > MAX_NAMED else []
            who = fmt.listing([*cases[:MAX_NAMED], *more])
            notes.append(f"{mark.symbol} {meaning[0].upper()}{meaning[1:]}: {who}.")
    return ["", *dict.fromkeys(notes)] if notes else []


def _on(row: Row) -> str:
    return f"{row.framework} {row.case.recipe} on {network_title(row.case.model, row.case.variant)}"


def conditions(run: LoadedRun) -> str:
    """Hardware, versions, sample counts and run id of the figures."""
    machine = run.header.environment
    gpus = ", ".join(gpu.name for gpu in machine.gpus) or "no GPU"
    return " ".join([
        f"{machine.processor}, {machine.cores_usable} cores, {fmt.gibibytes(machine.memory_bytes)}, {gpus}.",
        *_sampling([row for row in run.rows if row.ok and "images_per_s" in described(row.case.scenario).metrics]),
        f"Run `{run.header.run_id}`, {run.header.created_utc[:10]}.",
    ])


def _sampling(measured: Sequence[Row]) -> list[str]:
    if not measured:
        return ["No case was measured."]
    versions = sorted({f"{name} {version}" for row in measured for name, version in row.process.versions.items()})
    counts = [len(process.steps_s) for row in measured for process in row.record.processes]
    steps = f"{fmt.steps(min(counts), max(counts))} steps"
    processes = [row.summary.processes for row in measured]
    if max(processes) == 1:
        excluded = "the intervals exclude the spread between processes"
        return [f"{'; '.join(versions)}.", f"{steps} in one process per case: {excluded}."]
    mixed = "" if min(processes) > 1 else " where there are several"
    superseded, failed = sum(row.summary.superseded for row in measured), sum(row.summary.failed for row in measured)
    return [
        f"{'; '.join(versions)}.",
        (f"n = {fmt.span(min(processes), max(processes), 'process')} per case, "
         f"{fmt.span(min(counts), max(counts), 'step')} in each: "
         f"the intervals include the spread between processes{mixed}."),
        f"Processes disturbed and superseded: {superseded}; failed: {failed}.",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
