"""Single-stream: latency percentiles of one image at a time."""

from __future__ import annotations

from typing import Final

from dashboards import captions, charts, trust
from dashboards.content import Cell, Chart, FigureBlock, Key, Table
from dashboards.runs import Group, Panel, Row
from xibench.record import format as fmt

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
        hover = trust.hover(row, f"{name}: {_text(row, name)} ms")
        found.append(charts.Dot(1e3 * p.value, low, high, SYMBOLS[name], fmt.number(1e3 * p.value), hover, RISE[name]))
    return found


def _needed(name: str, n: int, needed: int) -> str:
    return f"{name}: n = {fmt.grouped(n)}, needs {fmt.grouped(needed)}"


def _takeaway(panel: Panel) -> str:
    """State the lowest and the highest tail latency, at the highest percentile that is known."""
    rows = [row for row in panel.measured if row.summary.latency]
    for name in reversed(SYMBOLS):
        found = sorted(((v, row) for row in rows if (v := row.summary.latency[name].value) is not None), key=_first)
        if found:
            best, worst = found[0][1], found[-1][1]
            text = f"{panel.title}: {name} of the latency is lowest for {_name(best)}, {_text(best, name)} ms"
            return f"{text}." if best is worst else f"{text}, and highest for {_name(worst)}, {_text(worst, name)} ms."
    return f"No case of {panel.title} has enough queries for a percentile."


def _first(pair: tuple[float, Row]) -> float:
    return pair[0]


def _name(row: Row) -> str:
    return f"{row.framework} {row.recipe}"


def _text(row: Row, name: str) -> str:
    """`12.3 [12.1, 12.9]` in milliseconds, or the number of queries that it needs."""
    p = row.summary.latency[name]
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
            figures = [_text(row, name) if name in row.summary.latency else fmt.NONE for name in SYMBOLS]
            rows.append((panel.title, row.framework, trust.recipe(row), *figures, *trust.cells(row)))
    headings = tuple(f"{name}, ms [95 %]" for name in SYMBOLS)
    columns = ("Network", "Framework", "Recipe", *headings, *trust.COLUMNS)
    return Table(columns, tuple(rows), trust.numeric(3, columns), fold="Data table")
