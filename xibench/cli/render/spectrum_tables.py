"""The tables of `xibench spectrum`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xibench.analysis.spectrum import label, transitions
from xibench.analysis.spectrum_text import WIDTHS_TEXT, finding
from xibench.cli.render.run_tables import run_notes, status
from xibench.cli.render.terminal import Table, say, show, table_of
from xibench.record.format import NONE, count, figures, interval, percent, percentile, size
from xibench.record.marks import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xibench.analysis.spectrum import Curve, Point, Transition
    from xibench.measure.comparing import Ratio
    from xibench.record.store import Run

COLUMNS: Final = (
    "g", "parameters", "MACs/image", "images/s\n[95 %]", "p50 of one,\nms [95 %]", "peak\nmemory", "attained",
    "MACs saved over the\ng measured before", "faster than\nit [95 %]", "status",
)  # fmt: skip


def show_curves(run: Run, curves: Sequence[Curve]) -> None:
    """Print a table per curve, then a finding per curve and the notes."""
    for curve in curves:
        show(curve_table(curve))
    findings = [
        finding(curve, f"{curve.case.framework} {curve.case.recipe}") for curve in curves if len(curve.measured) > 1
    ]
    for line in (*findings, *curve_notes(run, curves)):
        say(line)


def curve_table(curve: Curve) -> Table:
    """Build the table of a curve, a row per number of segments."""
    case = curve.case
    after = {found.after.segments: found for found in transitions(curve)}
    rows = [_row(point, after.get(point.member.segments)) for point in curve.points]
    title = (
        f"{case.framework} {case.recipe}, {WIDTHS_TEXT[curve.widths]}: {case.precision}, batch {case.batch}, "
        f"{case.resolution} px, {case.device}"
    )
    return table_of(title, COLUMNS, rows, right=COLUMNS[:-1])


def _row(point: Point, found: Transition | None) -> tuple[str, ...]:
    one = point.latency.latency.get("p50") if point.latency else None
    return (
        label(point.member.segments), f"{point.member.parameters_trainable:,}", count(point.member.macs),
        shown(interval(point.throughput.images_per_s), point.throughput),
        shown(percentile(one, 1e3), point.latency or point.throughput),
        size(point.throughput.peak_memory_bytes), shown(percent(point.throughput.attained), point.throughput),
        NONE if found is None else f"{found.work_ratio:.3g} x", NONE if found is None else _ratio(found.speedup),
        status(point.throughput),
    )  # fmt: skip


def curve_notes(run: Run, curves: Sequence[Curve]) -> list[str]:
    """Return the notes below the tables, each once."""
    points = [point for curve in curves for point in curve.points]
    summaries = {point.record.case: point.throughput for point in points}
    summaries |= {point.single_stream.case: point.latency for point in points if point.single_stream and point.latency}
    return run_notes(run, list(summaries.values()))


def _ratio(ratio: Ratio) -> str:
    bounds = "" if ratio.low is None or ratio.high is None else f" [{figures(ratio.low)}, {figures(ratio.high)}]"
    return f"{figures(ratio.ratio)} x{bounds}"
