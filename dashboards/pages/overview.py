"""Which framework is fastest on which network, and what did not run?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboards import captions, charts, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, FigureBlock, Fold, Link, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Panel, Row, case_words
from dashboards.setting_differences import unlike_settings, within_cases
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.metrics import IMAGES_PER_S
from xibench.record.schema import Case
from xibench.scenarios import qualifier

ABOUT: Final = (
    "One text per network builds it natively in every framework, with the same weights and the same photographs. Each "
    "case is timed in fresh processes, every step until its result has been computed."
)
NO_GPU: Final = "No case here ran on a GPU: what the recipes choose on one is unmeasured."


def content(site: Site) -> Content:
    """Throughput by framework, network and recipe; every case that has no result, with its reason."""
    sections = [_section(group) for group in site.groups("images_per_s", sweeps=False)] or [_elsewhere(site)]
    without = _without_result(site.runs)
    if without:
        sections.append(Section("without-result", "Cases without a result", without))
    on_gpu = any(row.case.device == "cuda" for run in site.runs for row in run.rows)
    return Content(tuple(sections), ABOUT if on_gpu else f"{ABOUT} {NO_GPU}")


PAGE: Final = PageKind(
    path="index.html",
    label="Throughput",
    question="How many images per second does each framework take through the same network?",
    content=content,
)


def _section(group: Group) -> Section:
    blocks: list[Block] = [_figure(group)]
    unlike = sorted({entry.setting for entry in unlike_settings(group)})
    if unlike:
        text = f"Unlike between frameworks at the same recipe: {fmt.listing(unlike)}."
        blocks.append(Prose((f"{text} What each ran with stands under Settings.",), "note"))
    within = sorted({entry.setting for entry in within_cases(group)})
    if within:
        text = f"Unlike between processes of one case: {fmt.listing(within)}. Every process's values: see Settings."
        blocks.append(Prose((text,), "note"))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(group: Group) -> FigureBlock:
    scale = charts.scale(group.measured, _value)
    sentences = tuple(takeaways.throughput(panel) for panel in group.panels)
    return FigureBlock(
        title="Images per second",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, "throughput (images/s)", scale), panel.title, sentence)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(f"{captions.bars(group, scale.cuts)} Longer is faster.", *captions.measured(group)),
        table=_table(group),
    )


def _value(row: Row) -> charts.Value | None:
    return charts.value_of(row, IMAGES_PER_S, "images/s")


def _table(group: Group) -> Table:
    rows = tuple(_cells(panel, row) for panel in group.panels for row in panel.rows)
    columns = (
        "Network", "Framework", "Recipe", "Images/s", "95 % interval", "ms per step",
        "Peak host memory above baseline", *trust.COLUMNS,
    )
    return Table(columns, rows, trust.numeric(3, columns), fold="The numbers")


def _cells(panel: Panel, row: Row) -> tuple[Cell, ...]:
    rate, step, peak = row.summary.images_per_s, row.summary.step_s, row.summary.peak_bytes
    if rate is None or step is None:
        blank = (fmt.NONE,) * 4
        status = words.status(row.summary.status)
        return (panel.title, row.framework, trust.recipe(row), status, *blank[1:], *trust.cells(row))
    return (
        panel.title, row.framework, trust.recipe(row), fmt.number(rate.median), trust.bounds(rate),
        fmt.number(1e3 * step.median), fmt.or_none(peak, fmt.mebibytes), *trust.cells(row),
    )


def _elsewhere(site: Site) -> Section:
    """What stands here if no offline case has a result: where the results are, or why there are none."""
    titles = [group.title for group in site.families()]
    if not titles:
        return Section("nothing", "Nothing was measured", (Prose((_why_nothing(site.runs),), "note"),))
    text = (
        f"These runs measured {fmt.listing(titles)}: batch sweeps stand under Batch, single-stream and server under "
        "Latency, compile times under Start-up."
    )
    return Section("elsewhere", "Results on other pages", (Prose((text,), "note"),))


def _why_nothing(runs: Sequence[LoadedRun]) -> str:
    records = sum(len(run.rows) for run in runs)
    planned = sum(len(run.missing) for run in runs)
    if not records and not planned:
        return "The run holds no case."
    if not records:
        return f"No case has been run yet; {fmt.plural(planned, 'case')} stood in the plan."
    if records == 1:
        return "The one case that ran has no result. Its reason stands below."
    return f"None of the {records} cases that ran has a result. Their reasons stand below."


def _without_result(runs: Sequence[LoadedRun]) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = []
    logs: list[Block] = []
    for run in runs:
        for row in (row for row in run.rows if not row.ok and not _swept(run, row)):
            happened = words.status(row.summary.status)
            rows.append((case_words(row.case), happened, _reason(row), _conditions(row.case), _run(run)))
            if row.record.log:
                logs.append(Fold(f"Last output of {row.case.key}", row.record.log))
        never = "the run ended before this case"
        rows += [(case_words(case), "not run", never, _conditions(case), _run(run)) for case in run.missing]
    if not rows:
        return ()
    intro = f"{fmt.plural(len(rows), 'case')} of {fmt.grouped(sum(len(r.rows) + len(r.missing) for r in runs))}."
    if any(_swept(run, row) for run in runs for row in run.rows):
        intro += " Batches that did not fit into memory are results of a sweep and stand under Batch."
    columns = ("Case", "What happened", "Reason", "Conditions", "Run")
    return Prose((intro,)), Table(columns, tuple(rows)), *logs


def _swept(run: LoadedRun, row: Row) -> bool:
    """Whether running out of memory is what was looked for."""
    return run.header.sampling.sweep and row.summary.status == "out_of_memory"


def _conditions(case: Case) -> str:
    scenario = f"{name}, " if (name := qualifier(case.scenario)) else ""
    return f"{scenario}{case.precision}, batch {case.batch}, {case.resolution} px, {words.name(case.device)}"


def _reason(row: Row) -> str:
    return row.record.reason or "no reason recorded"


def _run(run: LoadedRun) -> Link:
    return Link(run.header.run_id, f"settings.html#run-{run.anchor}")
