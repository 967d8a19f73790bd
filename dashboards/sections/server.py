"""Server: latency against the arrival rate, and the highest rate with p99 latency within the bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dashboards import captions, curves, takeaways, trust
from dashboards.content import Block, Cell, Chart, Figure, FigureBlock, Key, Table
from dashboards.curves import Curve, Point
from dashboards.runs import Group, Panel, Row
from dashboards.style import framework_colour
from xibench.record import format as fmt
from xibench.record.metrics import HIGHEST_RATE_HZ
from xibench.record.ranking import rank
from xibench.record.schema import RateTrial, Server
from xibench.record.summary import Summary

WHAT: Final = (
    "Queries of one image arrive as a Poisson process and wait in one queue; latency runs from the arrival of a query "
    "to its logits on the host, including the wait. Points: p99 at each rate tried, per process; hollow: above the "
    "bound. The dashed line is the bound, the ring the highest rate within it, found by bisection."
)
NO_INTERVAL: Final = (
    "The highest rate is the median over the processes of a case (of an even number, the lower of the middle two); the "
    "data table has their range, not an interval."
)


def blocks(group: Group) -> tuple[Block, ...]:
    """The figure with its table, and a table of every rate tried."""
    sentences = tuple(_takeaway(panel) for panel in group.panels)
    figure = FigureBlock(
        title="p99 latency against the arrival rate",
        takeaways=sentences,
        charts=tuple(
            Chart(_chart(panel), panel.title, sentence, _keys(panel))
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(WHAT, NO_INTERVAL, *_unknown(group), *captions.measured(group, with_intervals=False)),
        table=_table(group),
    )
    return figure, _trials(group)


def servers(row: Row) -> list[Server]:
    """The server measurement of each process, in run order."""
    return [p.measured for p in row.record.processes if isinstance(p.measured, Server)]


def highest(row: Row) -> list[float]:
    """The highest rates of the processes that have one, in ascending order."""
    return sorted(s.highest_rate_hz for s in servers(row) if s.highest_rate_hz is not None)


def _takeaway(panel: Panel) -> str:
    """State the range of the highest rates, each with the bounds that it kept, and the cases that kept none."""
    ranking = rank([row.summary for row in panel.rows], HIGHEST_RATE_HZ)
    beyond = takeaways.left_out(ranking)
    if not ranking.order:
        some = any(highest(row) for row in panel.measured)
        where = "in more than half of its processes" if some else "at any rate"
        return f"No case of {panel.title} met its latency bound {where}.{beyond}"
    ends = [_rate(panel, summary) for summary in (ranking.order[-1], ranking.order[0])]
    if len(ranking.order) == 1:
        return f"{panel.title}: the highest rate is {ends[0]}.{beyond}"
    own = " Each case has a bound of its own, so that these rates are not comparable."
    fixed = panel.rows[0].case.latency_bound_s is not None
    return f"{panel.title}: the highest rates range from {ends[0]} to {ends[1]}.{'' if fixed else own}{beyond}"


def _rate(panel: Panel, summary: Summary) -> str:
    """`12.3 queries/s with p99 within 500 ms (JAX tuned)`; processes may have bounds of their own."""
    (row,) = (row for row in panel.rows if row.summary is summary)
    bounds_s = [s.bound_s for s in servers(row)]
    within = " to ".join(_each_once([min(bounds_s), max(bounds_s)]))
    rate = summary.highest_rate_hz or 0.0
    return f"{fmt.queries(rate)} with p99 within {within} ({takeaways.name(summary)})"


def _chart(panel: Panel) -> Figure:
    rows = [row for row in panel.measured if servers(row)]
    found = [
        Curve(row.case.framework, row.case.recipe, tuple(_point(row, t) for t in _ascending(s) if t.p99_s is not None))
        for row in rows for s in servers(row)
    ]
    figure = curves.lines(found, "arrival rate (queries/s)", "p99 latency (ms)")
    figure["layout"]["xaxis"]["rangemode"] = "tozero"
    figure["data"] += _rings(rows)
    bounds = _bounds(rows)
    figure["layout"]["shapes"] = [_bound_line(bound, colour) for bound, colour in bounds]
    known = [p.y for curve in found for p in curve.points]
    if bounds:  # latencies far beyond the bound would flatten the rest of the chart
        top = 2.5 * 1e3 * max(bound for bound, _ in bounds)
        if known and max(known) > top:
            figure["layout"]["yaxis"] |= {"range": [0, top], "autorange": False}
            for trace in figure["data"]:
                trace["cliponaxis"] = True
    return figure


def _ascending(server: Server) -> list[RateTrial]:
    return sorted(server.trials, key=lambda trial: trial.rate_hz)


def _point(row: Row, trial: RateTrial) -> Point:
    p99 = 1e3 * (trial.p99_s or 0)
    hover = trust.hover(
        row, f"{fmt.queries(trial.rate_hz)}: p99 {fmt.number(p99)} ms", f"{fmt.plural(len(trial.latencies_s), 'query')}"
    )
    return Point(trial.rate_hz, p99, hover, hollow=not trial.within)


def _rings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A ring at the highest rate of each case, on its bound."""
    found = [(row, rate) for row in rows if (rate := row.summary.highest_rate_hz) is not None]
    if not found:
        return []
    points = [
        Point(rate, 1e3 * servers(row)[0].bound_s, trust.hover(row, f"highest rate: {fmt.queries(rate)}"))
        for row, rate in found
    ]
    return [curves.marks(points, "circle-open", [framework_colour(row.case.framework) for row, _ in found], "highest")]


def _bounds(rows: Sequence[Row]) -> list[tuple[float, str]]:
    """The distinct bounds; in ink if all cases share one, or else in the colour of the framework."""
    found = {s.bound_s: framework_colour(row.case.framework) for row in rows for s in servers(row)}
    return [(bound, "var(--ink)" if len(found) == 1 else colour) for bound, colour in found.items()]


def _bound_line(bound_s: float, colour: str) -> dict[str, Any]:
    return {
        "type": "line", "layer": "below", "xref": "paper", "x0": 0, "x1": 1, "y0": 1e3 * bound_s, "y1": 1e3 * bound_s,
        "line": {"color": colour, "width": 1.25, "dash": "dash"},
    }


def _keys(panel: Panel) -> tuple[Key, ...]:
    marks = (Key("bound", "var(--muted)", "line"), Key("highest rate", "var(--muted)", "ring"))
    return (*curves.keys(panel.measured), *marks)


def _unknown(group: Group) -> tuple[str, ...]:
    unknown = sum(t.p99_s is None for row in group.measured for s in servers(row) for t in s.trials)
    return (f"Rates with too few queries for p99, not shown: {unknown}.",) if unknown else ()


def _table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            found, rates = servers(row), highest(row)
            rate = row.summary.highest_rate_hz
            spread = f"{fmt.number(rates[0])} to {fmt.number(rates[-1])}" if len(rates) > 1 else fmt.NONE
            rows.append((
                panel.title, row.framework, trust.recipe(row), fmt.listing(_each_once([s.bound_s for s in found])),
                _met(len(rates), len(found)) if rate is None else fmt.number(rate), spread,
                str(sum(len(s.trials) for s in found)),
                *trust.cells(row),
            ))
    columns = (
        "Network", "Framework", "Recipe", "Bound on p99", "Highest rate, queries/s", "Range over processes",
        "Rates tried", *trust.COLUMNS,
    )
    return Table(columns, tuple(rows), trust.numeric(3, columns), fold="Data table")


def _met(kept: int, processes: int) -> str:
    return f"met in {kept} of {processes} processes" if kept else "not met"


def _each_once(seconds: Sequence[float]) -> list[str]:
    return list(dict.fromkeys(fmt.seconds_or_ms(value) for value in seconds))


def _trials(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            for number, server in enumerate(servers(row), start=1):
                rows += [(panel.title, row.label, str(number), *_trial(trial)) for trial in _ascending(server)]
    columns = ("Network", "Case", "Process", "Rate, queries/s", "Queries", "p50, ms", "p99, ms", "Within the bound")
    return Table(columns, tuple(rows), frozenset(range(2, 7)), fold="Every rate tried")


def _trial(trial: RateTrial) -> tuple[Cell, ...]:
    median = float(np.median(trial.latencies_s)) if trial.latencies_s else None
    return (
        fmt.number(trial.rate_hz), fmt.grouped(len(trial.latencies_s)),
        fmt.or_none(None if median is None else 1e3 * median),
        "too few queries" if trial.p99_s is None else fmt.number(1e3 * trial.p99_s), "yes" if trial.within else "no",
    )
