"""Energy: how much energy does an image take?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dashboards import captions, charts, curves, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Panel, Row, network_title
from dashboards.site import Content, PageKind, Site
from dashboards.style import PHASES
from xibench.record import format as fmt
from xibench.record.metrics import JOULES_PER_IMAGE
from xibench.record.schema import Energy

WHAT: Final = (
    "Energy over the timed steps per image: of the GPUs from NVML's energy counter, or from its integrated power "
    "readings if there is no counter, plus that of the CPU packages from RAPL, if readable."
)
NO_INTERVAL: Final = (
    "The processes of a case are pooled, without an interval; the data table has the figure of each process."
)


def content(site: Site) -> Content:
    """Joules per image with and without idle power, or the reason why there are none."""
    sections = [_section(group) for group in site.groups("joules_per_image")]
    if not sections:
        text = "No case of these runs has timed steps over which energy could be measured."
        sections = [Section("nothing", "No results", (Prose((text,), "note"),))]
    sections += [_idle(run) for run in site.runs if run.calibration]
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="energy.html",
    label="Energy",
    question="How much energy does an image take?",
    content=content,
)


def _section(group: Group) -> Section:
    blocks: list[Block] = []
    if any(row.summary.joules_per_image is not None for row in group.measured):
        blocks += [_figure(group), *([_without(group)] if _unmeasured(group) else [])]
    else:
        blocks.append(Prose((f"No energy figure for any case: {_why(group)}.",), "note"))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(group: Group) -> FigureBlock:
    sentences = tuple(
        takeaways.extremes(panel, JOULES_PER_IMAGE, fmt.joules, "energy per image")
        for panel in group.panels
    )
    parts = (
        ("above idle", PHASES[3], lambda row: _above(row)),
        ("idle", PHASES[1], lambda row: _idle_part(row)),
        ("total, idle power unknown", PHASES[0], lambda row: _whole(row)),
    )
    used = [part for part in parts if any(part[2](row) for row in group.measured)]
    keys = tuple(Key(name, colour) for name, colour, _ in used)
    return FigureBlock(
        title="Energy per image",
        takeaways=sentences,
        charts=tuple(
            Chart(_chart(panel, used), panel.title, sentence, (*keys, *curves.hollow_key(group.measured, "hollow-bar")))
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(f"{WHAT} {NO_INTERVAL}", *captions.measured(group, with_intervals=False)),
        table=_table(group),
    )


def _chart(panel: Panel, parts: Sequence[tuple[str, str, Callable[[Row], float]]]) -> Figure:
    return charts.stacked(
        panel.rows, parts, "energy per image (J)", fmt.joules, lambda row: row.summary.joules_per_image is not None
    )


def _above(row: Row) -> float:
    return row.summary.joules_per_image_above_idle or 0.0


def _idle_part(row: Row) -> float:
    s = row.summary
    if s.joules_per_image is None or s.joules_per_image_above_idle is None:
        return 0.0
    return max(s.joules_per_image - s.joules_per_image_above_idle, 0.0)


def _whole(row: Row) -> float:
    s = row.summary
    return (s.joules_per_image or 0.0) if s.joules_per_image_above_idle is None else 0.0


def _unmeasured(group: Group) -> list[Row]:
    return [row for row in group.measured if row.summary.joules_per_image is None]


def _without(group: Group) -> Prose:
    names = [f"{row.label} on {network_title(row.case.model, row.case.variant)}" for row in _unmeasured(group)]
    return Prose((f"Without an energy figure: {fmt.listing(names)}. {_why(group)}.",))


def _why(group: Group) -> str:
    """Each distinct reason with the sources it applies to."""
    reasons: dict[str, list[str]] = {}
    for row in _unmeasured(group):
        for p in row.record.processes:
            for field, why in p.energy.absent.items():
                source = SOURCES.get(field, field)
                if source not in reasons.setdefault(why.rstrip("."), []):
                    reasons[why.rstrip(".")].append(source)
    if not reasons:
        absent = (row.summary.absent.get("joules_per_image", "no reason") for row in _unmeasured(group))
        return "; ".join(dict.fromkeys(absent))
    return "; ".join(f"{fmt.listing(sources)}: {why}" for why, sources in reasons.items())


SOURCES: Final = {
    "gpu_counter_joules": "GPU energy counter", "gpu_integrated_joules": "integrated GPU power",
    "cpu_package_joules": "CPU packages",
}


def _table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            s = row.summary
            totals = (fmt.or_none(s.joules_per_image), fmt.or_none(s.joules_per_image_above_idle))
            sources = [_spread(row, source) for source in _BY_SOURCE]
            window = sum(p.energy.window_s for p in row.record.processes)
            readings = sum(p.energy.gpu_power_samples for p in row.record.processes)
            rows.append((
                panel.title, row.framework, trust.recipe(row), *totals, *sources, fmt.number(window), str(readings),
                *trust.cells(row),
            ))
    columns = (
        "Network", "Framework", "Recipe", "J/image", "J/image above idle", "GPU energy counter",
        "Integrated GPU power", "CPU packages", "Window, s", "Power readings", *trust.COLUMNS,
    )
    caption = "Joules per image; the columns of each source list one figure per process."
    return Table(columns, tuple(rows), trust.numeric(3, columns), caption=caption, fold="Data table")


_BY_SOURCE: Final[tuple[Callable[[Energy], float | None], ...]] = (
    lambda e: e.gpu_counter_joules, lambda e: e.gpu_integrated_joules, lambda e: e.cpu_package_joules,
)


def _spread(row: Row, source: Callable[[Energy], float | None]) -> str:
    found = [
        value / p.images
        for p in row.record.processes if p.images and (value := source(p.energy)) is not None
    ]
    return ", ".join(fmt.number(value) for value in found) or fmt.NONE


def _idle(run: LoadedRun) -> Section:
    """Idle power from every calibration of a run."""
    rows: list[tuple[Cell, ...]] = []
    absent: dict[str, None] = {}
    for calibration in run.calibrations:
        idle = calibration.idle
        rows.append((
            words.moment(calibration.taken_utc), fmt.or_none(idle.gpu_watts), fmt.or_none(idle.cpu_package_watts),
            fmt.number(idle.window_s),
        ))
        absent |= dict.fromkeys(idle.absent.values())
    caption = "Power while no process of the run was active, in watts."
    if absent:
        caption += f" Unavailable: {'; '.join(why.rstrip('.') for why in absent)}."
    columns = ("Taken", "All GPUs, W", "CPU packages, W", "Window, s")
    table = Table(columns, tuple(rows), frozenset({1, 2, 3}), caption=caption)
    return Section(f"idle-{run.anchor}", f"Idle power, run {run.short}", (table,))
