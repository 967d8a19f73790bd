"""Spectrum: from a regular convolution to a depthwise separable one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dashboards import captions, curves, trust, words
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Note, Prose, Section, Table
from dashboards.runs import LoadedRun, Row
from dashboards.site import Content, PageKind, Site
from xibench.analysis import spectrum
from xibench.analysis.spectrum import Curve, Member, Point
from xibench.analysis.spectrum_text import WIDTHS_TEXT, finding, in_slices
from xibench.record import format as fmt
from xibench.record.schema import Case

INTRO: Final = (
    "Xception's depthwise separable convolution is one end of a spectrum: the channels are split into g segments, each "
    "with its own spatial convolution, followed by a 1 × 1 convolution across all channels. g = 1 is a regular "
    "convolution; g = C has one segment per channel. At the paper's widths, fewer segments cost more; at equal "
    "parameters, the network is narrowed until it has as many parameters as with g = C."
)
NOTHING: Final = "No run measured three or more numbers of segments. Measure the spectrum with `xibench spectrum`."
WAY_COLOURS: Final = {"paper": "var(--part-1)", "equal": "var(--part-3)"}
Value = Callable[[Point], curves.Point | None]


@dataclass(frozen=True, slots=True)
class Family:
    """The curves of one run that share recipe, precision, batch, resolution and device."""

    run: LoadedRun
    curves: tuple[Curve, ...]

    @property
    def title(self) -> str:
        """`tuned, batch 8, fp32, 299 px, CPU`"""
        c = self.curves[0].case
        return f"{words.name(c.recipe)}, batch {c.batch}, {c.precision}, {c.resolution} px, {words.name(c.device)}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the run that are points of the curves."""
        return self._rows({point.record.case for curve in self.curves for point in curve.points})

    @property
    def latency_rows(self) -> tuple[Row, ...]:
        """The rows of the run that measured the same networks one image at a time."""
        points = [point for curve in self.curves for point in curve.points]
        return self._rows({point.single_stream.case for point in points if point.single_stream})

    def _rows(self, cases: set[Case]) -> tuple[Row, ...]:
        return tuple(row for row in self.run.rows if row.case in cases)

    def of(self, way: str) -> list[Curve]:
        """The curves with a result for one way of choosing widths."""
        return [curve for curve in self.curves if curve.widths == way and curve.measured]

    @property
    def ways(self) -> list[str]:
        """The ways of choosing widths that have a curve."""
        return [way for way in WIDTHS_TEXT if self.of(way)]

    @property
    def segments(self) -> list[int]:
        """The numbers of segments, from 1 to C."""
        found = {point.member.segments for curve in self.curves for point in curve.points}
        return sorted(found, key=spectrum.position)


def content(site: Site) -> Content:
    """Costs, throughput, latency, memory and attained fraction against the number of segments."""
    sections = tuple(
        Section(f"spectrum-{i}", f"Xception, {family.title}", _blocks(family), subtitle=_subtitle(family.run))
        for i, family in enumerate((family for run in site.runs for family in _families(run)), 1)
    )
    if not sections:
        return Content((Section("nothing", "No spectrum", (Prose((NOTHING,), "note"),)),))
    return Content(sections, INTRO)


PAGE: Final = PageKind(
    path="spectrum.html",
    label="Spectrum",
    question="What happens along the spectrum from regular to depthwise separable convolutions?",
    content=content,
)


def _families(run: LoadedRun) -> list[Family]:
    found: dict[tuple[object, ...], list[Curve]] = {}
    for curve in spectrum.curves([row.record for row in run.rows], run.calibration):
        c = curve.case
        found.setdefault((c.recipe, c.precision, c.batch, c.resolution, c.device), []).append(curve)
    families = [Family(run, tuple(members)) for members in found.values()]
    return [family for family in families if family.ways]


def _subtitle(run: LoadedRun) -> str:
    return f"Run {run.header.run_id}, {words.moment(run.header.created_utc)}"


def _blocks(family: Family) -> tuple[Block, ...]:
    findings = tuple(
        finding(curve, _name(curve)) for way in family.ways for curve in family.of(way) if len(curve.measured) > 1
    )
    return (
        _costs(family),
        _block(family, "Images per second along g", findings, _throughput, "throughput (images/s)", _table(family)),
        *_optional(family, "Attained fraction of the roofline along g", _attained, "attained (%)", "attains", "%"),
        *_optional(
            family, "Latency of one image along g", _latency, "p50 (ms)", "takes", "ms", _latency_caption(family)
        ),
        *_optional(family, "Peak memory along g", _memory, "peak memory (MiB)", "peaks at", "MiB"),
    )


def _optional(
    family: Family, title: str, value: Value, axis: str, verb: str, unit: str, caption: tuple[str | Note, ...] = ()
) -> list[FigureBlock]:
    """A figure block, if the run has any such value."""
    if not any(value(point) for curve in family.curves for point in curve.points):
        return []
    return [_block(family, title, _extremes(family, value, verb, unit), value, axis, caption=caption)]


def _block(
    family: Family, title: str, takeaways: tuple[str, ...], value: Value, axis: str, table: Table | None = None,
    caption: tuple[str | Note, ...] = (),
) -> FigureBlock:
    charts = tuple(
        Chart(
            _chart(family, way, value, axis), WIDTHS_TEXT[way].capitalize(), " ".join(takeaways),
            (*curves.keys([row for row in family.rows if row.ok]), *curves.hollow_key(family.rows)),
        )
        for way in family.ways
    )
    return FigureBlock(title, takeaways, charts, caption or _caption(family), table)


def _chart(family: Family, way: str, value: Value, axis: str) -> Figure:
    """One line per framework over the numbers of segments, which are evenly spaced."""
    places = {g: float(i) for i, g in enumerate(family.segments)}
    lines = []
    for curve in family.of(way):
        points = [(places[point.member.segments], found) for point in curve.points if (found := value(point))]
        placed = tuple(curves.Point(x, p.y, p.hover, p.low, p.high, p.hollow) for x, p in points)
        lines.append(curves.Curve(curve.case.framework, curve.case.recipe, placed))
    return _on_segments(family, curves.lines(lines, "segments g", axis))


def _on_segments(family: Family, figure: Figure) -> Figure:
    figure["layout"]["xaxis"] |= {
        "tickmode": "array", "tickvals": list(range(len(family.segments))),
        "ticktext": [spectrum.label(g) for g in family.segments],
        "range": [-0.3, len(family.segments) - 0.7], "autorange": False,
    }
    return figure


def _throughput(point: Point) -> curves.Point | None:
    rate = point.throughput.images_per_s
    if rate is None:
        return None
    hover = f"{_at(point)}<br>{fmt.estimate(rate)} images/s"
    return curves.Point(0, rate.median, hover, rate.low, rate.high, point.throughput.bracketed)


def _attained(point: Point) -> curves.Point | None:
    share = point.throughput.attained
    if share is None:
        return None
    hover = f"{_at(point)}<br>{fmt.percentage(100 * share)}"
    return curves.Point(0, 100 * share, hover, hollow=point.throughput.bracketed)


def _latency(point: Point) -> curves.Point | None:
    found = point.latency.latency.get("p50") if point.latency else None
    if found is None or found.value is None:
        return None
    low, high = (None if bound is None else 1e3 * bound for bound in (found.low, found.high))
    text = fmt.bounded(1e3 * found.value, low, high)
    hollow = point.latency is not None and point.latency.bracketed
    return curves.Point(0, 1e3 * found.value, f"{_at(point)}<br>{text} ms", low, high, hollow)


def _memory(point: Point) -> curves.Point | None:
    peak = point.throughput.peak_memory_bytes
    return None if peak is None else curves.Point(0, peak / fmt.MIB, f"{_at(point)}<br>{fmt.mebibytes(peak)}")


def _at(point: Point) -> str:
    case = point.record.case
    return f"{words.name(case.framework)} {words.name(case.recipe)}, g = {spectrum.label(point.member.segments)}"


def _name(curve: Curve) -> str:
    return f"{words.name(curve.case.framework)} {words.name(curve.case.recipe)}"


def _extremes(family: Family, value: Value, verb: str, unit: str) -> tuple[str, ...]:
    """State the minimum and the maximum of each curve, and where they are."""
    sentences = []
    for way in family.ways:
        for curve in family.of(way):
            known = [(found.y, point) for point in curve.points if (found := value(point)) and not found.hollow]
            if known:
                (minimum, at), (maximum, there) = min(known, key=lambda k: k[0]), max(known, key=lambda k: k[0])
                sentences.append(
                    f"{_name(curve)} {WIDTHS_TEXT[way]} {verb} {fmt.number(minimum)} {unit} at g = "
                    f"{spectrum.label(at.member.segments)} and {fmt.number(maximum)} {unit} at g = "
                    f"{spectrum.label(there.member.segments)}."
                )
    return tuple(sentences)


def _costs(family: Family) -> FigureBlock:
    charts = (
        Chart(_cost_chart(family, lambda m: m.parameters_trainable / 1e6, "parameters (M)"), "Trainable parameters",
              _cost_summary(family), _way_keys(family)),
        Chart(
            _cost_chart(family, lambda m: m.macs / 1e9, "multiply-adds (G)"),
            f"Multiply-adds per image at {family.curves[0].case.resolution} px", _cost_summary(family),
            _way_keys(family),
        ),
    )  # fmt: skip
    rows = tuple(
        (spectrum.label(m.segments), WIDTHS_TEXT[way], f"{m.width:g}", fmt.grouped(m.parameters_trainable),
         fmt.grouped(m.macs), m.variant)
        for way in family.ways for m in _members(family, way)
    )  # fmt: skip
    columns = ("g", "Widths", "Width factor", "Parameters", "Multiply-adds", "Variant")
    return FigureBlock(
        "Costs of the networks", (_cost_summary(family),), charts,
        ("Exact counts from the blueprints, the same in every framework.", *_slices(family)),
        Table(columns, rows, frozenset({2, 3, 4}), fold="Data table"),
    )


def _slices(family: Family) -> list[str]:
    """Explain the numbers of segments that do not divide the widths, and what the network uses instead."""
    uneven = [
        f"g = {spectrum.label(m.segments)} {WIDTHS_TEXT[way]}"
        for way in family.ways for m in _members(family, way) if in_slices(m)
    ]  # fmt: skip
    if not uneven:
        return []
    return [(
        f"{fmt.listing(uneven)}: the segments do not divide every width (728 in 3 is 243 + 243 + 242). No framework "
        "has an operator for that: such a layer runs as convolutions on slices that are concatenated, and so its speed "
        "is that of this form."
    )]


def _cost_summary(family: Family) -> str:
    sentences = []
    for way in family.ways:
        first, *_, last = _members(family, way)
        sentences.append(
            f"{WIDTHS_TEXT[way].capitalize()} parameters go from {fmt.millions(first.parameters_trainable)} at g = "
            f"{spectrum.label(first.segments)} to {fmt.millions(last.parameters_trainable)} at g = "
            f"{spectrum.label(last.segments)}, multiply-adds from {fmt.number(first.macs / 1e9)} G to "
            f"{fmt.number(last.macs / 1e9)} G."
        )
    return " ".join(sentences)


def _cost_chart(family: Family, value: Callable[[Member], float], axis: str) -> Figure:
    places = {g: i for i, g in enumerate(family.segments)}
    traces = []
    for way in family.ways:
        members = _members(family, way)
        hover = [f"{WIDTHS_TEXT[way]}, g = {spectrum.label(m.segments)}<br>{fmt.number(value(m))}" for m in members]
        traces.append({
            "type": "scatter", "mode": "lines+markers", "name": WIDTHS_TEXT[way], "cliponaxis": False,
            "x": [places[m.segments] for m in members], "y": [value(m) for m in members],
            "line": {"color": WAY_COLOURS[way], "width": 2}, "marker": {"color": WAY_COLOURS[way], "size": 8},
            "customdata": hover, "hovertemplate": "%{customdata}<extra></extra>",
        })  # fmt: skip
    figure = _on_segments(family, curves.scatter(traces, "segments g", axis, curves.HEIGHT))
    figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return figure


def _way_keys(family: Family) -> tuple[Key, ...]:
    return tuple(Key(WIDTHS_TEXT[way], WAY_COLOURS[way], "circle") for way in family.ways)


def _members(family: Family, way: str) -> list[Member]:
    found = {point.member.segments: point.member for curve in family.of(way) for point in curve.points}
    return [found[g] for g in family.segments if g in found]


def _table(family: Family) -> Table:
    columns = (
        "Framework", "Widths", "g", "Images/s", "95 % interval", "Multiply-adds saved over the previous g",
        "Speedup over the previous g", *trust.COLUMNS,
    )
    rows = tuple(row for way in family.ways for curve in family.of(way) for row in _cells(family, curve))
    return Table(columns, rows, trust.numeric(2, columns), fold="Data table")


def _cells(family: Family, curve: Curve) -> list[tuple[Cell, ...]]:
    steps = {step.after.segments: step for step in spectrum.transitions(curve)}
    rows_of = {row.case: row for row in family.rows}
    cells = []
    for point in curve.points:
        step, rate = steps.get(point.member.segments), point.throughput.images_per_s
        cells.append((
            words.name(curve.case.framework), WIDTHS_TEXT[curve.widths], spectrum.label(point.member.segments),
            fmt.number(rate.median) if rate else words.status(point.throughput.status),
            trust.bounds(rate) if rate else fmt.NONE,
            fmt.ratio(step.work_ratio) if step else fmt.NONE, fmt.ratio(step.speedup.ratio) if step else fmt.NONE,
            *trust.cells(rows_of[point.record.case]),
        ))  # fmt: skip
    return cells


def _caption(family: Family) -> tuple[str | Note, ...]:
    return _conditions(family, family.title, family.rows)


def _latency_caption(family: Family) -> tuple[str | Note, ...]:
    c = family.curves[0].case
    title = f"{words.name(c.recipe)}, one image at a time, {c.precision}, {c.resolution} px, {words.name(c.device)}"
    return _conditions(family, title, family.latency_rows)


def _conditions(family: Family, title: str, counted: Sequence[Row]) -> tuple[str | Note, ...]:
    rows = [row for row in counted if row.ok]
    machine = captions.machine(family.run, family.curves[0].case.device)
    return (f"{title}. {trust.sampled(rows)}.", machine, *trust.notes(rows))
