"""Batch: how does throughput scale with the batch, and at which batch does memory run out?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dashboards import captions, curves, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Marked, Prose, Section, Table
from dashboards.curves import Curve, Point
from dashboards.runs import Group, Panel, Row
from dashboards.site import Content, PageKind, Site
from dashboards.style import framework_colour
from xibench.analysis.batch_sweep import KNEE_SHARE, MIN_BATCHES, sweeps
from xibench.record import format as fmt
from xibench.record.marks import bracketed
from xibench.record.metrics import IMAGES_PER_S
from xibench.record.ranking import rank

NOTHING: Final = (
    "No case of these runs was measured at more than one batch. `xibench run --sweep` doubles the batch until memory "
    "runs out."
)
KNEE: Final = (
    f"Rings mark the knee: the smallest batch with at least {100 * KNEE_SHARE:.0f} % of the highest throughput of its "
    f"series. It needs {MIN_BATCHES} batches; a series whose throughput still rises at its largest batch has none."
)


@dataclass(frozen=True, slots=True)
class Series:
    """One framework and recipe on one network at every batch, in ascending order."""

    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """`PyTorch tuned`"""
        return _name(self.rows[0])

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with a throughput."""
        return tuple(row for row in self.rows if row.summary.images_per_s)

    @property
    def rates(self) -> dict[int, float]:
        """Batch -> images per second."""
        return {r.case.batch: r.summary.images_per_s.median for r in self.measured if r.summary.images_per_s}

    @property
    def knee(self) -> int | None:
        """The batch at the knee, if there is one."""
        return next((sweep.knee for sweep in sweeps(row.summary for row in self.rows)), None)

    @property
    def end(self) -> Row | None:
        """The first batch that was tried without a result."""
        return next((row for row in self.rows if not row.ok), None)


def content(site: Site) -> Content:
    """Throughput and memory against the batch, one line per framework and recipe."""
    sections = tuple(_section(group) for group in site.families("images_per_s") if _swept(group))
    return Content(sections or (Section("nothing", "No batch sweep", (Prose((NOTHING,), "note"),)),))


PAGE: Final = PageKind(
    path="batch.html",
    label="Batch",
    question="How does throughput scale with the batch size, and where does memory run out?",
    content=content,
)


def _swept(group: Group) -> bool:
    return any(len(one.rates) > 1 for panel in group.panels for one in _series(panel))


def _series(panel: Panel) -> list[Series]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in panel.rows:
        found.setdefault((row.case.recipe, row.case.framework), []).append(row)
    return [Series(tuple(rows)) for rows in found.values()]


def _section(group: Group) -> Section:
    return Section(group.key, group.title, (_throughput(group), *_ends(group), _memory(group)), subtitle=group.subtitle)


def _throughput(group: Group) -> FigureBlock:
    sentences = tuple(_takeaway(panel) for panel in group.panels)
    return FigureBlock(
        title="Images per second against the batch",
        takeaways=sentences,
        charts=tuple(
            Chart(_throughput_chart(panel), panel.title, sentence, _keys(panel))
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(f"{_points(group)} {KNEE}", *captions.measured(group)),
        table=_table(group),
    )


def _points(group: Group) -> str:
    edge = "a line that reaches the top edge continues beyond it"
    return f"Points: {captions.estimate(group)}; lines: 95 % interval, {edge}."


def _takeaway(panel: Panel) -> str:
    series = _series(panel)
    ranking = rank([row.summary for row in panel.rows if row.ok], IMAGES_PER_S)
    too_large = {s.name: [row.case.batch for row in s.rows if row.summary.status == "out_of_memory"] for s in series}
    ends = [f"{name} at batch {min(batches)}" for name, batches in too_large.items() if batches]
    ended = f" Memory ran out for {fmt.listing(ends)}." if ends else ""
    if not ranking.order:
        return f"No case of {panel.title} is ranked.{takeaways.left_out(ranking)}{ended}"
    best = ranking.order[0]
    rate, batch, name = best.images_per_s, best.case.batch, takeaways.name(best)
    assert rate is not None
    text = f"{panel.title}: the highest median is {fmt.estimate(rate)} images/s, {name} at batch {batch}"
    if ranking.undecided:
        text += ", which is not certain to be above every other"
    knee = next(s.knee for s in series if any(row.summary is best for row in s.rows))
    text += f"; its knee is at batch {knee}." if knee else "; it has no knee."
    return f"{text}{takeaways.left_out(ranking)}{ended}"


def _throughput_chart(panel: Panel) -> Figure:
    def point(row: Row) -> Point | None:
        rate = row.summary.images_per_s
        if rate is None:
            return None
        hover = trust.hover(row, f"batch {row.case.batch}", f"{fmt.estimate(rate)} images/s")
        return Point(row.case.batch, rate.median, hover, rate.low, rate.high, bracketed(row.summary))

    figure = _chart(panel, point, "throughput (images/s)")
    knees = [(s, row) for s in _series(panel) for row in s.measured if row.case.batch == s.knee]
    points = [p for _, row in knees if (p := point(row))]
    if points:
        colours = [framework_colour(row.case.framework) for _, row in knees]
        figure["data"].append(curves.marks(points, "circle-open", colours, "knee", size=17))
    return figure


def _memory(group: Group) -> FigureBlock | Prose:
    if not any(row.summary.peak_memory_bytes is not None for row in group.measured):
        return Prose(("No memory figure: the run recorded none.",))
    which = "device" if any(row.summary.device_peak_bytes is not None for row in group.measured) else "host"
    what = {
        "device": "Peak memory allocated on the device, from the framework's counter",
        "host": "Peak resident memory of the worker, minus its resident memory after importing the framework",
    }[which]

    def point(row: Row) -> Point | None:
        peak = row.summary.peak_memory_bytes
        if peak is None:
            return None
        hover = trust.hover(row, f"batch {row.case.batch}", f"peak {fmt.mebibytes(peak)}")
        return Point(row.case.batch, peak / fmt.MIB, hover)

    return FigureBlock(
        title=f"Peak {which} memory against the batch",
        takeaways=tuple(_memory_takeaway(panel) for panel in group.panels),
        charts=tuple(
            Chart(_chart(panel, point, f"peak {which} memory (MiB)"), panel.title, _memory_takeaway(panel),
                  _keys(panel, with_knee=False))
            for panel in group.panels
        ),
        caption=(f"{what}; maximum over the processes of a case.", *captions.measured(group, with_intervals=False)),
    )


def _memory_takeaway(panel: Panel) -> str:
    found = [(peak, row) for row in panel.measured if (peak := row.summary.peak_memory_bytes) is not None]
    if not found:
        return f"No case of {panel.title} has a memory figure."
    peak, row = max(found, key=lambda pair: pair[0])
    return f"{panel.title}: the maximum is {fmt.mebibytes(peak)}, {_name(row)} at batch {row.case.batch}."


def _name(row: Row) -> str:
    return f"{row.framework} {row.recipe}"


def _chart(panel: Panel, point: Callable[[Row], Point | None], axis: str) -> Figure:
    """One line per series over batches on a logarithmic axis; a cross marks a batch without a result."""
    series = _series(panel)
    lines = [[p for row in one.rows if (p := point(row))] for one in series]
    figure = curves.lines(
        [Curve(s.rows[0].case.framework, s.rows[0].case.recipe, tuple(points))
         for s, points in zip(series, lines, strict=True)],
        "batch (images per step)", axis,
    )
    batches = sorted({row.case.batch for row in panel.rows})
    figure["layout"]["xaxis"] |= {
        "type": "log", "tickmode": "array", "tickvals": batches, "ticktext": [str(b) for b in batches],
    }
    ends = [(one.end, points[-1]) for one, points in zip(series, lines, strict=True) if one.end and points]
    crosses = [
        Point(end.case.batch, last.y, trust.hover(end, f"batch {end.case.batch}: {words.status(end.summary.status)}",
                                                  words.chart_text(end.record.reason or "")))
        for end, last in ends
    ]
    if crosses:
        colours = [framework_colour(end.case.framework) for end, _ in ends]
        figure["data"].append(curves.marks(crosses, "x-thin", colours, "no result", size=10, width=2.5))
        figure["layout"]["shapes"] = [
            {"type": "line", "layer": "below", "x0": last.x, "x1": cross.x, "y0": last.y, "y1": last.y,
             "line": {"width": 1.25, "dash": "dot", "color": colour}}
            for (_, last), cross, colour in zip(ends, crosses, colours, strict=True)
        ]
    return figure


def _keys(panel: Panel, with_knee: bool = True) -> tuple[Key, ...]:
    series = _series(panel)
    knee_key = (Key("knee", "var(--muted)", "ring"),) if with_knee and any(s.knee for s in series) else ()
    statuses = dict.fromkeys(s.end.summary.status for s in series if s.end and s.measured)
    ended = " or ".join(map(words.status, statuses))
    hollow = curves.hollow_key(panel.measured) if with_knee else ()  # sizes do not depend on the load of the cores
    ends = (Key(ended, "var(--muted)", "cross"),) if ended else ()
    return (*curves.keys(panel.measured), *hollow, *knee_key, *ends)


def _table(group: Group) -> Table:
    rows = tuple(_cells(panel, one, row) for panel in group.panels for one in _series(panel) for row in one.rows)
    columns = (
        "Network", "Framework", "Recipe", "Batch", "Images/s", "95 % interval", "Relative to best", "Peak memory",
        *trust.COLUMNS,
    )
    return Table(columns, rows, trust.numeric(3, columns), fold="Data table")


def _ends(group: Group) -> list[Block]:
    """Batches without a result, with their reasons."""
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (panel.title, row.label, str(row.case.batch), words.status(row.summary.status), row.record.reason or fmt.NONE)
        for panel in group.panels for one in _series(panel) for row in one.rows if not row.ok
    )
    columns = ("Network", "Case", "Batch", "Status", "Reason")
    return [Table(columns, rows, frozenset({2}), caption="Batches without a result.")] if rows else []


def _cells(panel: Panel, series: Series, row: Row) -> tuple[Cell, ...]:
    rate, batch = row.summary.images_per_s, str(row.case.batch)
    if rate is None:
        blank = (fmt.NONE,) * 3
        status = words.status(row.summary.status)
        return (panel.title, row.framework, trust.recipe(row), batch, status, *blank, *trust.cells(row))
    here: Cell = Marked(batch, "knee") if row.case.batch == series.knee else batch
    share = fmt.percentage(100 * rate.median / max(series.rates.values()))
    return (
        panel.title, row.framework, trust.recipe(row), here, fmt.number(rate.median), trust.bounds(rate), share,
        fmt.or_none(row.summary.peak_memory_bytes, fmt.mebibytes), *trust.cells(row),
    )
