"""Single-stream: latency percentiles of one image at a time."""

from __future__ import annotations

from typing import Final

from dashboards import captions, charts, takeaways, trust
from dashboards.content import Cell, Chart, FigureBlock, Key, Table
from dashboards.runs import Group, Panel, Row
from xibench.record import format as fmt
from xibench.record.marks import shown
from xibench.record.metrics import LATENCY
from xibench.record.ranking import rank
from xibench.record.summary import Summary

SYMBOLS: Final = {"p50": "circle", "p90": "square", "p99": "diamond"}
RISE: Final = {"p50": 0.28, "p90": 0.0, "p99": -0.28}  # each percentile on its own line
WHAT: Final = (
    "From an image on the host to its logits on the host, one image at a time. Marks: percentiles over the queries of "
    "all processes; lines: 95 % intervals from order statistics, which assume independent queries and exclude the "
    "spread between processes."
)


def percentiles(group: Group) -> FigureBlock:
    """p50, p90 and p99 with their intervals; a percentile with too few queries shows how many it needs."""
    sentences = tuple(_takeaway(panel) for panel in group.panels)
    keys = tuple(Key(name, "var(--muted)", symbol) for name, symbol in SYMBOLS.items())
    return FigureBlock(
        title="Latency of one image",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.dots(panel.rows, _dots, "latency (ms)", height=62), panel.title, sentence, keys)
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(WHAT, *captions.measured(group, with_intervals=False), *_short(group)),
        table=_table(group),
    )


def _dots(row: Row) -> list[charts.Dot]:
    found = []
    for name, p in row.summary.latency.items():
        if p.value is None:
            found.append(charts.Dot(None, None, None, SYMBOLS[name], _needed(name, p.n, p.needed), "", RISE[name]))
            continue
        low, high = (None if bound is None else 1e3 * bound for bound in (p.low, p.high))
        hover = trust.hover(row, f"{name}: {_text(row.summary, name)} ms")
        symbol = f"{SYMBOLS[name]}-open" if row.summary.bracketed else SYMBOLS[name]
        text = shown(fmt.number(1e3 * p.value), row.summary)
        found.append(charts.Dot(1e3 * p.value, low, high, symbol, text, hover, RISE[name]))
    return found


def _needed(name: str, n: int, needed: int) -> str:
    return f"{name}: n = {fmt.grouped(n)}, needs {fmt.grouped(needed)}"


def _takeaway(panel: Panel) -> str:
    """State the range of the highest percentile that all cases have, or of the lowest one with the cases without it."""
    rankings = {quantile: rank([row.summary for row in panel.rows], LATENCY[quantile]) for quantile in SYMBOLS}
    most = max(len(ranking.order) for ranking in rankings.values())
    if not most:
        return f"No case of {panel.title} has a percentile that is ranked.{takeaways.left_out(rankings['p50'])}"
    quantile, ranking = [(q, ranking) for q, ranking in rankings.items() if len(ranking.order) == most][-1]
    best, worst = ranking.order[0], ranking.order[-1]
    beyond = takeaways.left_out(ranking)
    text = f"{panel.title}: {quantile} of the latency is {_text(best, quantile)} ms ({takeaways.name(best)})"
    if best is worst:
        return f"{text}.{beyond}"
    return (
        f"{panel.title}: {quantile} of the latency ranges from {_text(best, quantile)} ms ({takeaways.name(best)}) to "
        f"{_text(worst, quantile)} ms ({takeaways.name(worst)}).{beyond}"
    )


def _text(summary: Summary, name: str) -> str:
    """`12.3 [12.1, 12.9]` in milliseconds, or the number of queries that it needs."""
    p = summary.latency[name]
    if p.value is None:
        return f"needs {fmt.grouped(p.needed)} queries"
    low, high = (None if bound is None else 1e3 * bound for bound in (p.low, p.high))
    return fmt.bounded(1e3 * p.value, low, high)


def _short(group: Group) -> tuple[str, ...]:
    """State which percentiles are missing, and how many queries they need."""
    missing = {
        f"{name} needs {fmt.grouped(p.needed)} queries"
        for row in group.measured for name, p in row.summary.latency.items() if p.value is None
    }
    return (f"Omitted for cases with too few queries: {'; '.join(sorted(missing))}.",) if missing else ()


def _table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            figures = [_text(row.summary, name) if name in row.summary.latency else fmt.NONE for name in SYMBOLS]
            rows.append((panel.title, row.framework, trust.recipe(row), *figures, *trust.cells(row)))
    headings = tuple(f"{name}, ms [95 %]" for name in SYMBOLS)
    columns = ("Network", "Framework", "Recipe", *headings, *trust.COLUMNS)
    return Table(columns, tuple(rows), trust.numeric(3, columns), fold="Data table")
