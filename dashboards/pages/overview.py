"""Which framework is fastest on which network, and what did not run?"""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import captions, charts, takeaways
from dashboards import format as fmt
from dashboards.content import Block, Cell, Chart, FigureBlock, Fold, Link, Marked, Page, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Panel, Row, case_words, groups
from dashboards.unlike import unlike_settings
from xibench.record.schema import Case

FILE = "index.html"
ABOUT = (
    "One text per network builds it natively in every framework, with the same weights and the same photographs. Each "
    "case is timed in a fresh process, every step until its result has been computed."
)


def page(runs: Sequence[LoadedRun]) -> Page:
    """Throughput by framework, network and recipe; every case that has no result, with its reason."""
    sections = [_section(group) for group in groups(runs) if group.measured] or [_nothing(runs)]
    without = _without_result(runs)
    if without:
        sections.append(Section("without-result", "Cases without a result", without))
    return Page(
        FILE, "Throughput", "Throughput",
        "How many images per second does each framework take through the same network?", tuple(sections), ABOUT,
    )


def _section(group: Group) -> Section:
    blocks: list[Block] = [_figure(group)]
    unlike = unlike_settings(group)
    if unlike:
        names = fmt.listing(sorted({entry.setting for entry in unlike}))
        text = f"Unlike between frameworks at the same recipe: {names}. What each ran with stands under Settings."
        blocks.append(Prose((text,), "note"))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(group: Group) -> FigureBlock:
    shown = [value for row in group.measured if (value := _value(row))]
    limit = max(max(value.high or 0, value.value) for value in shown)
    sentences = tuple(takeaways.throughput(panel) for panel in group.panels)
    return FigureBlock(
        title="Images per second",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, "throughput (images/s)", limit), panel.title, sentence)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=("Bars: median; lines: 95 % interval. Longer is faster.", *captions.measured(group)),
        table=_table(group),
    )


def _value(row: Row) -> charts.Value | None:
    rate = row.summary.images_per_s
    if rate is None:
        return None
    hover = f"<b>{fmt.chart_text(row.label)}</b><br>{fmt.interval(rate)} images/s<br>n = {rate.n} steps"
    return charts.Value(rate.median, rate.low, rate.high, fmt.number(rate.median), hover)


def _table(group: Group) -> Table:
    rows = tuple(_cells(panel, row) for panel in group.panels for row in panel.rows)
    columns = (
        "Network", "Framework", "Recipe", "Images/s", "95 % interval", "ms per step",
        "Peak host memory above baseline", "n",
    )
    return Table(columns, rows, frozenset({3, 4, 5, 6, 7}), fold="The numbers")


def _cells(panel: Panel, row: Row) -> tuple[Cell, ...]:
    rate, step, peak = row.summary.images_per_s, row.summary.step_s, row.summary.peak_bytes
    recipe: Cell = Marked(row.recipe, "something else ran than was wanted") if row.mark else row.recipe
    if rate is None or step is None:
        blank = (fmt.NONE,) * 4
        return (panel.title, row.framework, recipe, fmt.status(row.summary.status), *blank)
    return (
        panel.title, row.framework, recipe, fmt.number(rate.median), bounds(rate), fmt.number(1e3 * step.median),
        fmt.NONE if peak is None else fmt.mebibytes(peak), str(step.n),
    )


def bounds(estimate: fmt.Estimate) -> str:
    """The interval's bounds alone."""
    if estimate.low is None or estimate.high is None:
        return "too few steps"
    places = fmt.interval_decimals(estimate.median, estimate.low, estimate.high)
    return f"{fmt.number(estimate.low, places)} to {fmt.number(estimate.high, places)}"


def _nothing(runs: Sequence[LoadedRun]) -> Section:
    return Section("nothing", "Nothing was measured", (Prose((_why_nothing(runs),), "note"),))


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
        for row in (row for row in run.rows if not row.ok):
            happened = fmt.status(row.summary.status)
            rows.append((case_words(row.case), happened, _reason(row), _conditions(row.case), _run(run)))
            if row.record.log:
                logs.append(Fold(f"Last output of {row.case.key}", row.record.log))
        never = "the run ended before this case"
        rows += [(case_words(case), "not run", never, _conditions(case), _run(run)) for case in run.missing]
    if not rows:
        return ()
    intro = f"{fmt.plural(len(rows), 'case')} of {fmt.count(sum(len(r.rows) + len(r.missing) for r in runs))}."
    columns = ("Case", "What happened", "Reason", "Conditions", "Run")
    return Prose((intro,)), Table(columns, tuple(rows)), *logs


def _conditions(case: Case) -> str:
    return f"{case.precision}, batch {case.batch}, {case.resolution} px, {fmt.name(case.device)}"


def _reason(row: Row) -> str:
    return row.record.reason or "no reason recorded"


def _run(run: LoadedRun) -> Link:
    return Link(run.header.run_id, f"settings.html#run-{run.digest[:12]}")
