"""Start-up: how long does compilation take, and how long until the first result?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dashboards import captions, charts, curves, takeaways, trust
from dashboards.content import Block, Cell, Chart, FigureBlock, Key, Prose, Section, Table
from dashboards.runs import Group, Panel, Row
from dashboards.site import Content, PageKind, Site
from dashboards.style import PHASES
from xibench.record import format as fmt
from xibench.record.marks import shown
from xibench.record.schema import Process

NOT_SEPARATE: Final = "If a framework cannot compile ahead of time, its first step includes compilation."
FRESH: Final = (
    "One mark per fresh process: compilation ahead of time, if any, plus the first step, so that frameworks are "
    "comparable. The label is the median over processes; the data table has the intervals."
)


def content(site: Site) -> Content:
    """Compile times in fresh processes, and the phases up to the first result."""
    sections = tuple(
        Section(g.key, g.title, _blocks(g), subtitle=g.subtitle) for g in site.groups(sweeps=False)
    )
    text = "No case of these runs has a result." if not site.measured else (
        "These runs are batch sweeps; this page shows cases outside of sweeps."
    )
    return Content(sections or (Section("nothing", "No results", (Prose((text,), "note"),)),))


PAGE: Final = PageKind(
    path="startup.html",
    label="Start-up",
    question="How long does compilation take, and how long until the first result?",
    content=content,
)


def _blocks(group: Group) -> tuple[Block, ...]:
    if any(row.summary.processes > 1 for row in group.measured):
        return _compile(group), _startup(group)
    text = "Each case was compiled once (n = 1 process); the spread of compile times needs several fresh processes."
    return _startup(group), Prose((text,))


def fresh(process: Process) -> float:
    """Seconds of compilation ahead of time plus the first step, which compiles if nothing did before."""
    return (process.compile_s or 0.0) + process.first_step_s


def _compile(group: Group) -> FigureBlock:
    sentences = tuple(_takeaway(panel) for panel in group.panels)
    return FigureBlock(
        title="Compilation and first step in fresh processes",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.dots(panel.rows, _dots, "compilation + first step (s)"), panel.title, sentence)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(
            f"{FRESH} {NOT_SEPARATE} {_caches(group)}", *captions.measured(group, with_intervals=False),
        ),
        table=_table(group),
    )


def _dots(row: Row) -> list[charts.Dot]:
    found = [fresh(p) for p in row.record.processes]
    text = shown(fmt.number(float(np.median(found))), row.summary) if found else ""
    return [
        charts.Dot(value, None, None, "circle-open", text if value == max(found) else "",
                   trust.hover(row, f"process {number}: {fmt.seconds_or_ms(value)}"))
        for number, value in enumerate(found, start=1)
    ]


def _takeaway(panel: Panel) -> str:
    rows = [row for row in panel.measured if len(row.record.processes) > 1]
    if not rows:
        return f"{panel.title}: no case ran in several fresh processes."
    widest = max(rows, key=_spread)
    single = len(panel.measured) - len(rows)
    return (
        f"{panel.title}: between fresh processes, compilation and first step vary most for {widest.framework} "
        f"{widest.recipe}: the slowest takes {fmt.ratio(_spread(widest))} as long as the fastest."
        + (f" {fmt.plural(single, 'case')} of {len(panel.measured)} ran in one process only." if single else "")
    )


def _spread(row: Row) -> float:
    found = [fresh(p) for p in row.record.processes]
    return max(found) / min(found)


def _caches(group: Group) -> str:
    """The state of the on-disk compilation caches, as the frameworks reported it."""
    found: dict[str, list[str]] = {}
    for row in group.measured:
        for p in row.record.processes:
            state = p.settings.get("compilation_cache")
            if state is not None and row.framework not in found.setdefault(str(state), []):
                found[str(state)].append(row.framework)
    if not found:
        return "No framework reported whether compiled programs came from a cache."
    states = [f"{state} ({fmt.listing(names)})" for state, names in found.items()]
    return f"On-disk compilation cache: {'; '.join(states)}."


def _middle(phase: Callable[[Process], float]) -> Callable[[Row], float]:
    return lambda row: float(np.median([phase(p) for p in row.record.processes]))


def _startup(group: Group) -> FigureBlock:
    phases = (
        ("import", PHASES[0], _middle(lambda p: p.import_s)),
        ("build", PHASES[1], _middle(lambda p: p.build_s)),
        ("compile", PHASES[2], _middle(lambda p: p.compile_s or 0.0)),
        ("first step", PHASES[3], _middle(lambda p: p.first_step_s)),
    )
    several = any(row.summary.processes > 1 for row in group.measured)
    phase_note = "Each phase was measured once (n = 1 process), so there is no interval."
    if several:
        phase_note = "Each phase is the median over the processes of a case; the data table lists every process."
    sentences = tuple(
        takeaways.extremes(panel, takeaways.TIME_TO_FIRST_RESULT, fmt.seconds_or_ms)
        for panel in group.panels
    )
    keys = (*(Key(name, colour) for name, colour, _ in phases), *curves.hollow_key(group.measured, "hollow-bar"))
    return FigureBlock(
        title="Time to the first result",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.stacked(panel.rows, phases, "time from the start of the import (s)"), panel.title, sentence,
                  keys)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(
            f"{phase_note} {NOT_SEPARATE} Each chart has its own scale.",
            *captions.measured(group, with_intervals=False),
        ),
        table=_startup_table(group),
    )


def _table(group: Group) -> Table:
    rows = tuple(_cells(panel, row) for panel in group.panels for row in panel.measured)
    columns = (
        "Network", "Framework", "Recipe", "Compile, s [95 %]", "First step, s [95 %]", "Minimum, s", "Maximum, s",
        *trust.COLUMNS,
    )
    return Table(columns, rows, trust.numeric(3, columns), fold="Data table")


def _cells(panel: Panel, row: Row) -> tuple[Cell, ...]:
    s, found = row.summary, [fresh(p) for p in row.record.processes]
    compiled = fmt.estimate(s.compile_s) if s.compile_s else "in the first step"
    first = fmt.estimate(s.first_step_s) if s.first_step_s else fmt.NONE
    return (
        panel.title, row.framework, trust.recipe(row), compiled, first, fmt.number(min(found)), fmt.number(max(found)),
        *trust.cells(row),
    )


def _startup_table(group: Group) -> Table:
    rows = tuple(
        (panel.title, row.framework, trust.recipe(row), str(number), fmt.number(p.import_s), fmt.number(p.build_s),
         "in the first step" if p.compile_s is None else fmt.number(p.compile_s), fmt.number(p.first_step_s),
         *trust.cells(row))
        for panel in group.panels for row in panel.measured for number, p in enumerate(row.record.processes, start=1)
    )
    columns = (
        "Network", "Framework", "Recipe", "Process", "Import, s", "Build, s", "Compile, s", "First step, s",
        *trust.COLUMNS,
    )
    return Table(columns, rows, trust.numeric(3, columns), fold="Data table, every process")
