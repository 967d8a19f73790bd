"""Memory: how much memory does a case need?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dashboards import captions, charts, takeaways, trust
from dashboards.content import Block, Cell, Chart, FigureBlock, Prose, Section, Table
from dashboards.runs import Group, Row
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.metrics import DEVICE_PEAK_BYTES, PEAK_BYTES, Metric
from xibench.record.schema import Memory

COMPILED: Final[tuple[Callable[[Memory], int | None], ...]] = (
    lambda m: m.compiled_temporary_bytes, lambda m: m.compiled_argument_bytes, lambda m: m.compiled_output_bytes,
    lambda m: m.compiled_code_bytes,
)


def content(site: Site) -> Content:
    """Peak host memory above the baseline of the framework, and device memory or the reason why there is none."""
    sections = tuple(_section(group) for group in site.groups(sweeps=False))
    text = "No case of these runs has a result." if not site.measured else (
        "These runs are batch sweeps; see the Batch page for memory against the batch."
    )
    title = "Batch sweeps only" if site.measured else "No results"
    return Content(sections or (Section("nothing", title, (Prose((text,), "note"),)),))


PAGE: Final = PageKind(
    path="memory.html",
    label="Memory",
    question="How much memory does a network need on top of its framework?",
    content=content,
)


def host_above_baseline(row: Row) -> list[int]:
    """Peak bytes above the baseline, for each process with both figures."""
    return [
        p.memory.host_peak_bytes - p.memory.host_baseline_bytes
        for p in row.record.processes
        if p.memory.host_peak_bytes is not None and p.memory.host_baseline_bytes is not None
    ]


def device_allocated(row: Row) -> list[int]:
    """Peak bytes that the framework allocated on the device, for each process with that figure."""
    return [b for p in row.record.processes if (b := p.memory.device_peak_allocated_bytes) is not None]


def _section(group: Group) -> Section:
    blocks: list[Block] = []
    if any(host_above_baseline(row) for row in group.measured):
        title = "Peak host memory above the baseline"
        blocks.append(_figure(group, title, PEAK_BYTES, host_above_baseline, _host_caption(group)))
    else:
        blocks.append(Prose((f"No host memory figure: {_why(group, 'host')}.",), "note"))
    if any(device_allocated(row) for row in group.measured):
        caption = "Peak memory allocated on the device, from the framework's counter."
        blocks.append(_figure(group, "Peak device memory", DEVICE_PEAK_BYTES, device_allocated, caption))
    else:
        blocks.append(Prose((f"No device memory figure: {_why(group, 'device')}.",)))
    blocks.append(_compiled(group))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(
    group: Group, title: str, metric: Metric[Any], values: Callable[[Row], list[int]], caption: str
) -> FigureBlock:
    def value(row: Row) -> charts.Value | None:
        found = [b / fmt.MIB for b in values(row)]
        if not found:
            return None
        hover = trust.hover(row, f"{fmt.number(max(found))} MiB")
        low = min(found) if len(found) > 1 else None
        return charts.Value(max(found), low, None, fmt.number(max(found)), hover)

    scale = charts.scale(group.measured, value)
    what = title.lower()
    sentences = tuple(takeaways.extremes(panel, metric, fmt.mebibytes, what) for panel in group.panels)
    return FigureBlock(
        title=title,
        takeaways=sentences,
        charts=tuple(
            Chart(charts.bars(panel.rows, value, "peak memory (MiB)", scale), panel.title, sentence)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(f"{caption} {_spread(group)}", *captions.measured(group, with_intervals=False)),
        table=_table(group),
    )


def _host_caption(group: Group) -> str:
    methods = fmt.listing(sorted({row.process.memory.host_method for row in group.measured}))
    return (
        "Peak resident memory of the worker while building, compiling and running the network, minus its resident "
        f"memory after importing the framework and initialising the device. Source: {methods}."
    )


def _spread(group: Group) -> str:
    if max(row.summary.processes for row in group.measured) == 1:
        return "One process per case (n = 1), so there is no interval."
    return "Maximum over processes; the line extends down to the minimum."


def _why(group: Group, which: str) -> str:
    reasons = dict.fromkeys(
        reason
        for row in group.measured for p in row.record.processes for field, reason in p.absent.items()
        if field.startswith(which) and field.endswith("_bytes")
    )
    if reasons:
        return "; ".join(reason.rstrip(".") for reason in reasons)
    if which == "device" and group.case.device == "cpu":
        return "these cases ran on the CPU, which uses host memory"
    return "no reason was recorded"


def _compiled(group: Group) -> Table | Prose:
    """The memory that compilers planned for one step, in addition to what was measured."""
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            figures = [_largest(row, figure) for figure in COMPILED]
            if any(figure is not None for figure in figures):
                shown = [fmt.or_none(figure, fmt.mebibytes) for figure in figures]
                rows.append((panel.title, row.framework, trust.recipe(row), *shown, *trust.cells(row)))
    if not rows:
        return Prose((f"No compiler reported its memory plan: {_why(group, 'compiled')}.",))
    columns = (
        "Network", "Framework", "Recipe", "Temporary", "Parameters and batch", "Output", "Code", *trust.COLUMNS
    )
    caption = "Memory of one step as planned by the compiler, for frameworks that report it."
    return Table(columns, tuple(rows), trust.numeric(3, columns), caption=caption)


def _table(group: Group) -> Table:
    rows = tuple(
        (panel.title, row.framework, trust.recipe(row), *_memory_cells(row), *trust.cells(row))
        for panel in group.panels for row in panel.measured
    )
    columns = (
        "Network", "Framework", "Recipe", "Baseline", "Peak", "Above baseline", "Device, allocated", "Device, reserved",
        "Device, total of the process", *trust.COLUMNS,
    )
    caption = "Each figure is the maximum over the processes of a case."
    return Table(columns, rows, trust.numeric(3, columns), caption=caption, fold="Data table")


def _memory_cells(row: Row) -> tuple[Cell, ...]:
    figures = (
        _largest(row, lambda m: m.host_baseline_bytes), _largest(row, lambda m: m.host_peak_bytes),
        max(host_above_baseline(row), default=None), _largest(row, lambda m: m.device_peak_allocated_bytes),
        _largest(row, lambda m: m.device_peak_reserved_bytes), _largest(row, lambda m: m.device_process_bytes),
    )
    return tuple(fmt.or_none(figure, fmt.mebibytes) for figure in figures)


def _largest(row: Row, figure: Callable[[Memory], int | None]) -> int | None:
    return max((b for p in row.record.processes if (b := figure(p.memory)) is not None), default=None)
