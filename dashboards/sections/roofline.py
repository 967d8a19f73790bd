"""The roofline of a run: the ceilings measured on its device, and the attained fraction of each case.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from dashboards import captions, curves, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Marked, Prose, Section, Table
from dashboards.runs import Group, LoadedRun, Row, families, network_title
from dashboards.style import framework_colour, logarithmic, recipe_symbol
from xibench.analysis.costs import bytes_fused
from xibench.record import format as fmt
from xibench.record.metrics import ATTAINED
from xibench.record.ranking import rank
from xibench.record.schema import Calibration
from xibench.record.summary import Summary

WHAT: Final = (
    "Both axes are logarithmic. Arithmetic intensity is two FLOPs per multiply-add over the bytes that a step reads "
    "and writes with element-wise layers fused. The line is the roof: the fastest copy and the fastest matmul of any "
    "framework in this run; dotted lines are the matmuls of the other frameworks. Marks are cases. Ticks are "
    "attainable rates: the time under the roof, summed over a network's layers, from the same bytes. Attained is the "
    "rate of a mark over that of its tick."
)
MAX_NAMES: Final = 4  # columns of marks; with more, the chart has no names


def section(run: LoadedRun) -> Section:
    """The measured ceilings and, if cases were measured under them, the roofline chart."""
    found = [g for g in families([run], "images_per_s") if any(row.summary.step_s for row in g.rows)]
    blocks: list[Block] = []
    if run.calibration is None:
        blocks.append(Prose((f"This run measured no ceilings: {_why(run)}.",), "note"))
    else:
        drawable = [g for g in found if _roof(run.calibration, g.case.precision)]
        blocks += [_figure(group, run.calibration) for group in drawable]
        blocks += [_matmuls(run), _copies(run)]
    return Section(f"roofline-{run.anchor}", f"Roofline, run {run.short}", tuple(blocks))


def intensity(row: Row) -> float:
    """Arithmetic intensity of one step in FLOPs per byte, with element-wise layers fused as for its attainable time."""
    case = row.case
    moved = bytes_fused(case.model, case.variant, case.resolution, case.batch, case.precision)
    return 2 * row.record.costs.macs / moved


def attainable(row: Row) -> float | None:
    """FLOP/s that the layers of a case could reach under the ceilings; None if they were not measured."""
    costs = row.record.costs
    return 2 * costs.macs / costs.attainable_s if costs.attainable_s else None


def _why(run: LoadedRun) -> str:
    reasons = dict.fromkeys(
        why for row in run.rows if (why := row.record.costs.absent.get("attainable_s")) is not None
    )
    return "; ".join(reasons) or "they were disabled"


def _roof(calibration: Calibration, precision: str) -> tuple[float, float] | None:
    """FLOP/s of the fastest matmul in the precision, and bytes/s of the fastest copy."""
    peak, copy = calibration.peak_flops_per_s(precision), calibration.bytes_per_s
    return (peak, copy) if peak and copy else None


def _figure(group: Group, calibration: Calibration) -> FigureBlock:
    rows = [row for row in group.measured if row.summary.macs_per_s]
    sentence = _takeaway(rows)
    chart = Chart(
        _chart(rows, calibration, group.case.precision), "One mark per case", sentence,
        (*curves.keys(rows), *curves.hollow_key(rows), Key("roof", "var(--ink)", "line"),
         Key("attainable", "var(--ink)", "tick")),
    )
    return FigureBlock(
        title=f"{group.title}: achieved rate under the roof",
        takeaways=(sentence,),
        charts=(chart,),
        caption=(WHAT, *captions.measured(group)),
        table=_table(group, rows),
        columns=1,
    )


def _takeaway(rows: Sequence[Row]) -> str:
    """State the range of the attained fractions, over all networks and batches of the chart."""
    ranking = rank([row.summary for row in rows], ATTAINED)
    if not ranking.order:
        return f"No case with an attainable time under these ceilings is ranked.{takeaways.left_out(ranking)}"
    shares = [f"{fmt.percentage(100 * (s.attained or 0.0))} ({_who(s)})" for s in ranking.order]
    if len(shares) == 1:
        return f"Attained fraction of the roofline: {shares[0]}.{takeaways.left_out(ranking)}"
    return f"Attained fractions of the roofline range from {shares[-1]} to {shares[0]}.{takeaways.left_out(ranking)}"


def _who(summary: Summary) -> str:
    case = summary.case
    return f"{takeaways.name(summary)} on {network_title(case.model, case.variant)} at batch {case.batch}"


def _chart(rows: Sequence[Row], calibration: Calibration, precision: str) -> Figure:
    roof = _roof(calibration, precision)
    assert roof is not None
    peak, copy = roof
    ridge = peak / copy
    xs = [intensity(row) for row in rows]
    left, right = min(*xs, ridge) / 2.5, max(*xs, ridge) * 2.5
    heights = [_achieved(row) for row in rows] + [peak]
    low, high = min(heights) / 2, max(heights) * 2
    traces = [_roof_line(left, right, ridge, peak, copy), *_other_matmuls(calibration, precision, copy, right)]
    traces += [_ticks(rows), *_points(rows)]
    figure = curves.scatter(traces, "arithmetic intensity (FLOP per byte)", "GFLOP/s", 400)
    figure["layout"]["xaxis"] |= logarithmic(left, right)
    figure["layout"]["yaxis"] |= logarithmic(low / 1e9, high / 1e9)
    figure["layout"]["annotations"] = [
        _note(right, peak, f"matmul {fmt.rate(peak)}", "right", "bottom"),
        _note(math.sqrt(left * ridge), math.sqrt(left * ridge) * copy, f"copy {fmt.bandwidth(copy)}", "left", "top"),
    ]
    figure["layout"]["annotations"] += _names(rows, low)
    return figure


def _names(rows: Sequence[Row], low: float) -> list[dict[str, Any]]:
    """The names of the networks at the bottom of the chart, unless there are too many columns of marks."""
    found = {
        (network_title(row.case.model, row.case.variant), row.case.resolution, row.case.batch): intensity(row)
        for row in rows
    }
    if len(found) > MAX_NAMES:
        return []
    several = len({batch for _, _, batch in found}) > 1
    return [
        _note(x, low, f"{words.chart_text(title)}{f', batch {batch}' if several else ''}", "center", "bottom")
        for (title, _, batch), x in found.items()
    ]


def _achieved(row: Row) -> float:
    return 2 * (row.summary.macs_per_s or 0.0)


def _roof_line(left: float, right: float, ridge: float, peak: float, copy: float) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": "roof", "line": {"color": "var(--ink)", "width": 2},
        "x": [left, ridge, right], "y": [copy * left / 1e9, peak / 1e9, peak / 1e9],
        "hovertemplate": f"roof: {fmt.rate(peak)}, {fmt.bandwidth(copy)}<extra></extra>",
    }


def _other_matmuls(calibration: Calibration, precision: str, copy: float, right: float) -> list[dict[str, Any]]:
    """The fastest matmul of each framework that is below the roof."""
    top = calibration.peak_flops_per_s(precision)
    return [
        {
            "type": "scatter", "mode": "lines", "name": words.chart_text(words.name(p.framework)),
            "x": [p.flops_per_s / copy, right], "y": [p.flops_per_s / 1e9] * 2,
            "line": {"color": framework_colour(p.framework), "width": 1.5, "dash": "dot"},
            "hovertemplate": f"{words.chart_text(words.name(p.framework))}: {fmt.rate(p.flops_per_s)}<extra></extra>",
        }
        for p in calibration.matmuls if p.precision == precision and p.flops_per_s and p.flops_per_s != top
    ]


def _ticks(rows: Sequence[Row]) -> dict[str, Any]:
    """The attainable rate, once per network and batch."""
    found = {
        (row.case.model, row.case.variant, row.case.resolution, row.case.batch): (row, rate)
        for row in rows if (rate := attainable(row)) is not None
    }
    return {
        "type": "scatter", "mode": "markers", "name": "attainable",
        "x": [intensity(row) for row, _ in found.values()], "y": [rate / 1e9 for _, rate in found.values()],
        "marker": {
            "symbol": "line-ew", "size": 18, "color": "var(--ink)", "line": {"width": 2.5, "color": "var(--ink)"},
        },
        "customdata": [
            f"<b>{words.chart_text(network_title(row.case.model, row.case.variant))}</b>, batch {row.case.batch}"
            f"<br>{fmt.rate(rate)} attainable" for row, rate in found.values()
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _points(rows: Sequence[Row]) -> list[dict[str, Any]]:
    traces = []
    for framework in dict.fromkeys(row.case.framework for row in rows):
        mine = [row for row in rows if row.case.framework == framework]
        traces.append({
            "type": "scatter", "mode": "markers", "name": words.chart_text(words.name(framework)), "cliponaxis": False,
            "x": [intensity(row) for row in mine], "y": [_achieved(row) / 1e9 for row in mine],
            "marker": {
                "color": framework_colour(framework), "size": 11, "opacity": 0.9,
                "symbol": [recipe_symbol(row.case.recipe, row.summary.bracketed) for row in mine],
                "line": {"color": "var(--paper)", "width": 1.25},
            },
            "customdata": [
                trust.hover(
                    row, f"{words.chart_text(network_title(row.case.model, row.case.variant))}, batch {row.case.batch}",
                    fmt.rate(_achieved(row)), f"{fmt.number(intensity(row))} FLOP per byte",
                )
                for row in mine
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        })
    return traces


def _note(x: float, y: float, text: str, anchor: str, above: str) -> dict[str, Any]:
    return {
        "x": math.log10(x), "y": math.log10(y / 1e9), "xanchor": anchor, "yanchor": above, "showarrow": False,
        "text": text, "font": {"size": 12, "color": "var(--muted)"},
    }


def _table(group: Group, rows: Sequence[Row]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        costs = row.record.costs
        written = costs.attainable_as_written_s
        cells.append((
            network_title(row.case.model, row.case.variant), f"{row.case.resolution} px", str(row.case.batch),
            row.framework, trust.recipe(row), fmt.number(intensity(row)), fmt.number(_achieved(row) / 1e9),
            fmt.or_none(attainable(row), lambda v: fmt.number(v / 1e9)),
            fmt.or_none(costs.attainable_s, lambda v: fmt.number(1e3 * v)),
            fmt.or_none(written, lambda v: fmt.number(1e3 * v)),
            fmt.number(1e3 * row.summary.step_s.median) if row.summary.step_s else fmt.NONE, *trust.cells(row),
        ))
    columns = (
        "Network", "Input", "Batch", "Framework", "Recipe", "FLOP per byte, fused", "GFLOP/s", "Attainable GFLOP/s",
        "Attainable, fused, ms", "Attainable without fusion, ms", "Measured, ms", *trust.COLUMNS,
    )
    return Table(columns, tuple(cells), frozenset({2, *range(5, len(columns))}), fold="Data table")


def _matmuls(run: LoadedRun) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for calibration in run.calibrations:
        for p in calibration.matmuls:
            top = calibration.peak_flops_per_s(p.precision)
            rate: Cell = p.reason or "no figure"
            if p.flops_per_s is not None:
                text = fmt.number(p.flops_per_s / 1e9)
                rate = Marked(text, "fastest in this precision: the roof") if p.flops_per_s == top else text
            size = fmt.NONE if p.n is None else f"{p.n} × {p.n}"
            rows.append((words.name(p.framework), p.precision, size, rate, *_taken(calibration)))
    caption = (
        "Ceilings: the fastest square matmul of each framework in each precision, two FLOPs per multiply-add, of "
        "the fastest of its timed calls. Marked (◆): the roof."
    )
    columns = ("Framework", "Precision", "Size", "GFLOP/s", "Device", "Taken")
    return Table(columns, tuple(rows), frozenset({3}), caption=caption)


def _copies(run: LoadedRun) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for calibration in run.calibrations:
        for c in calibration.copies:
            rate: Cell = c.reason or "no figure"
            if c.bytes_per_s is not None:
                text = fmt.number(c.bytes_per_s / 1e9)
                fastest = c.bytes_per_s == calibration.bytes_per_s
                rate = Marked(text, "fastest: the slope of the roof") if fastest else text
            rows.append((words.name(c.framework), fmt.or_none(c.size_bytes, fmt.mebibytes), rate, *_taken(calibration)))
    caption = (
        "Ceilings: the fastest of the timed copies of each framework in device memory, bytes read plus bytes written. "
        "Marked (◆): the slope of the roof."
    )
    columns = ("Framework", "Array", "GB/s", "Device", "Taken")
    return Table(columns, tuple(rows), frozenset({2}), caption=caption)


def _taken(calibration: Calibration) -> tuple[str, str]:
    return words.name(calibration.device), words.moment(calibration.taken_utc)
