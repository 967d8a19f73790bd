"""How much memory does a case take?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dashboards import captions, charts, takeaways, trust
from dashboards.content import Block, Cell, Chart, FigureBlock, Prose, Section, Table
from dashboards.runs import Group, Row
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.schema import Memory

COMPILED: Final[tuple[Callable[[Memory], int | None], ...]] = (
    lambda m: m.compiled_temporary_bytes, lambda m: m.compiled_argument_bytes, lambda m: m.compiled_output_bytes,
    lambda m: m.compiled_code_bytes,
)


def content(site: Site) -> Content:
    """Peak host memory above the framework's baseline, and device memory or the reason why there is none."""
    sections = tuple(_section(group) for group in site.groups(sweeps=False))
    text = "Memory against the batch stands under Batch." if site.measured else "No case of these runs has a result."
    title = "Batch sweeps only" if site.measured else "Nothing was measured"
    return Content(sections or (Section("nothing", title, (Prose((text,), "note"),)),))


PAGE: Final = PageKind(
    path="memory.html",
    label="Memory",
    question="How much memory does a network take beyond what its framework takes anyway?",
    content=content,
)


def host_above_baseline(row: Row) -> list[int]:
    """Bytes above the baseline, per process that has both figures."""
    return [
        p.memory.host_peak_bytes - p.memory.host_baseline_bytes
        for p in row.record.processes
        if p.memory.host_peak_bytes is not None and p.memory.host_baseline_bytes is not None
    ]


def device_allocated(row: Row) -> list[int]:
    """Peak bytes that the framework allocated on the device, per process that has the figure."""
    return [b for p in row.record.processes if (b := p.memory.device_peak_allocated_bytes) is not None]


def _section(group: Group) -> Section:
    blocks: list[Block] = []
    if any(host_above_baseline(row) for row in group.measured):
        blocks.append(_figure(group, "Peak host memory above the baseline", host_above_baseline, _host_caption(group)))
    else:
        blocks.append(Prose((f"No host memory figure: {_why(group, 'host')}.",), "note"))
    if any(device_allocated(row) for row in group.measured):
        caption = "Peak memory allocated on the device, by the framework's own counter."
        blocks.append(_figure(group, "Peak device memory", device_allocated, caption))
    else:
        blocks.append(Prose((f"No device memory figure: {_why(group, 'device')}.",)))
    blocks.append(_compiled(group))
    return Section(group.key, group.title, tuple(blocks), subtitle=group.subtitle)


def _figure(group: Group, title: str, values: Callable[[Row], list[int]], caption: str) -> FigureBlock:
    def highest(row: Row) -> float | None:
        return max(values(row), default=None)

    def value(row: Row) -> charts.Value | None:
        found = [b / fmt.MIB for b in values(row)]
        if not found:
            return None
        hover = trust.hover(row, f"{fmt.number(max(found))} MiB")
        low = min(found) if len(found) > 1 else None
        return charts.Value(max(found), low, None, fmt.number(max(found)), hover)

    scale = charts.scale(group.measured, value)
    what = title.lower()
    sentences = tuple(takeaways.extremes(panel, highest, fmt.mebibytes, what) for panel in group.panels)
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
        "Peak resident memory of the worker while it built, compiled and stepped the network, less what it held after "
        f"importing the framework and touching the device. Read by: {methods}."
    )


def _spread(group: Group) -> str:
    if max(row.summary.processes for row in group.measured) == 1:
        return "A process has one peak (n = 1), so there is no interval."
    return "The highest peak among processes; the line reaches down to the lowest."


def _why(group: Group, which: str) -> str:
    reasons = dict.fromkeys(
        reason
        for row in group.measured for p in row.record.processes for field, reason in p.absent.items()
        if field.startswith(which) and field.endswith("_bytes")
    )
    if reasons:
        return "; ".join(reason.rstrip(".") for reason in reasons)
    if which == "device" and group.case.device == "cpu":
        return "these cases ran on the CPU, whose memory is the host's"
    return "the record gives no reason"


def _compiled(group: Group) -> Table | Prose:
    """What compilers planned for one step: a further column beside what was measured."""
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            figures = [_largest(row, figure) for figure in COMPILED]
            if any(figure is not None for figure in figures):
                shown = [fmt.or_none(figure, fmt.mebibytes) for figure in figures]
                rows.append((panel.title, row.framework, trust.recipe(row), *shown, *trust.cells(row)))
    if not rows:
        return Prose((f"No compiler told what it planned: {_why(group, 'compiled')}.",))
    columns = (
        "Network", "Framework", "Recipe", "Scratch", "Parameters and batch", "Output", "Program", *trust.COLUMNS
    )
    caption = "Memory of one step as the compiler planned it; frameworks that do not tell are left out."
    return Table(columns, tuple(rows), trust.numeric(3, columns), caption=caption)


def _table(group: Group) -> Table:
    rows = tuple(
        (panel.title, row.framework, trust.recipe(row), *_memory_cells(row), *trust.cells(row))
        for panel in group.panels for row in panel.measured
    )
    columns = (
        "Network", "Framework", "Recipe", "Baseline", "Peak", "Above baseline", "Device, allocated", "Device, reserved",
        "Device, whole process", *trust.COLUMNS,
    )
    caption = "The largest of a case's processes, each figure on its own."
    return Table(columns, rows, trust.numeric(3, columns), caption=caption, fold="The numbers")


def _memory_cells(row: Row) -> tuple[Cell, ...]:
    figures = (
        _largest(row, lambda m: m.host_baseline_bytes), _largest(row, lambda m: m.host_peak_bytes),
        max(host_above_baseline(row), default=None), _largest(row, lambda m: m.device_peak_allocated_bytes),
        _largest(row, lambda m: m.device_peak_reserved_bytes), _largest(row, lambda m: m.device_process_bytes),
    )
    return tuple(fmt.or_none(figure, fmt.mebibytes) for figure in figures)


def _largest(row: Row, figure: Callable[[Memory], int | None]) -> int | None:
    return max((b for p in row.record.processes if (b := figure(p.memory)) is not None), default=None)
