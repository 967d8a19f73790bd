"""Throughput: which framework is fastest on each network, and which cases have no result?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboards import captions, charts, curves, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, FigureBlock, Fold, Link, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Panel, Row, case_words
from dashboards.setting_differences import between_frameworks, between_processes
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.metrics import IMAGES_PER_S
from xibench.record.schema import Case
from xibench.scenarios import qualifier

ABOUT: Final = (
    "One blueprint per network builds it natively in every framework, with the same weights and the same input images. "
    "Each case is timed in fresh processes; a timed step ends when its result has been computed."
)
NO_GPU: Final = "No case here ran on a GPU: the choices that recipes make for GPUs are unmeasured."


def content(site: Site) -> Content:
    """Throughput by framework, network and recipe, and every case without a result with its reason."""
    sections = [_section(group) for group in site.groups("images_per_s", sweeps=False)] or [_elsewhere(site)]
    without = _without_result(site.runs)
    if without:
        sections.append(Section("without-result", "Cases without a result", without))
    on_gpu = any(row.ok and row.case.device == "cuda" for run in site.runs for row in run.rows)
    return Content(tuple(sections), ABOUT if on_gpu else f"{ABOUT} {NO_GPU}")


PAGE: Final = PageKind(
    path="index.html",
    label="Throughput",
    question="How many images per second does each framework process with the same network?",
    content=content,
)


def _section(group: Group) -> Section:
    blocks: list[Block] = [_figure(group)]
    frameworks = sorted({difference.setting for difference in between_frameworks(group)})
    if frameworks:
        text = f"Settings that differ between frameworks under the same recipe: {fmt.listing(frameworks)}."
        blocks.append(Prose((f"{text} The Settings page lists the values.",), "note"))
    processes = sorted({difference.setting for difference in between_processes(group)})
    if processes:
        text = f"Settings that differ between processes of the same case: {fmt.listing(processes)}."
        blocks.append(Prose((f"{text} The Settings page lists the values.",), "note"))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(group: Group) -> FigureBlock:
    scale = charts.scale(group.measured, _value)
    sentences = tuple(takeaways.throughput(panel) for panel in group.panels)
    return FigureBlock(
        title="Images per second",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, "throughput (images/s)", scale), panel.title, sentence,
                  curves.hollow_key(group.measured, "hollow-bar"))
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
    return Table(columns, rows, trust.numeric(3, columns), fold="Data table")


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
    """If no case has a throughput to show here: which pages have results, or why there are none."""
    titles = [group.title for group in site.families()]
    if not titles:
        return Section("nothing", "No results", (Prose((_why_nothing(site.runs),), "note"),))
    pages = fmt.listing(_pages_with_figures(site, titles))
    text = f"These runs measured {fmt.listing(titles)}. Pages with their results: {pages}."
    return Section("elsewhere", "Results on other pages", (Prose((text,), "note"),))


def _pages_with_figures(site: Site, titles: Sequence[str]) -> list[str]:
    """The other pages that have a figure for any of these groups."""
    from dashboards.pages import PAGES  # the registry imports this module

    return [
        kind.label
        for kind in PAGES
        if kind is not PAGE and kind.applies(site) and any(
            section.title in titles and any(isinstance(block, FigureBlock) for block in section.blocks)
            for section in kind.content(site).sections
        )
    ]  # fmt: skip


def _why_nothing(runs: Sequence[LoadedRun]) -> str:
    records = sum(len(run.rows) for run in runs)
    planned = sum(len(run.missing) for run in runs)
    if not records and not planned:
        return "The run contains no case."
    if not records:
        return f"No case has been run yet; {fmt.plural(planned, 'case')} planned."
    if records == 1:
        return "The only case that ran has no result; the reason is below."
    return f"None of the {records} cases that ran has a result; the reasons are below."


def _without_result(runs: Sequence[LoadedRun]) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = []
    logs: list[Block] = []
    for run in runs:
        for row in (row for row in run.rows if not row.ok and not _swept(run, row)):
            status = words.status(row.summary.status)
            rows.append((case_words(row.case), status, _reason(row), _conditions(row.case), _run(run)))
            if row.record.log:
                logs.append(Fold(f"Last output of {row.case.key}", row.record.log))
        never = "the run file has no process of this case"
        rows += [(case_words(case), "not run", never, _conditions(case), _run(run)) for case in run.missing]
    if not rows:
        return ()
    intro = f"{fmt.plural(len(rows), 'case')} of {fmt.grouped(sum(len(r.rows) + len(r.missing) for r in runs))}."
    if any(_swept(run, row) for run in runs for row in run.rows):
        intro += " Batches that did not fit into memory are results of a sweep; see the Batch page."
    columns = ("Case", "Status", "Reason", "Conditions", "Run")
    return Prose((intro,)), Table(columns, tuple(rows)), *logs


def _swept(run: LoadedRun, row: Row) -> bool:
    """Whether the row is the end of a batch sweep: out of memory is then a result, not a failure."""
    return run.header.sampling.sweep and row.summary.status == "out_of_memory"


def _conditions(case: Case) -> str:
    scenario = f"{name}, " if (name := qualifier(case.scenario)) else ""
    return f"{scenario}{case.precision}, batch {case.batch}, {case.resolution} px, {words.name(case.device)}"


def _reason(row: Row) -> str:
    return row.record.reason or "no reason recorded"


def _run(run: LoadedRun) -> Link:
    return Link(run.header.run_id, f"settings.html#run-{run.anchor}")
