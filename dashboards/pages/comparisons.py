"""Comparisons: what `xibench ab` found, with the ratio of every pair of processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from dashboards import words
from dashboards.content import Cell, Chart, Figure, FigureBlock, Section, Table
from dashboards.site import Content, LoadedPairs, PageKind, Site
from dashboards.style import asymmetric, logarithmic
from dashboards.style import layout as layout_of
from xibench.analysis.comparison_text import FRAMEWORK, conclusions, name_of, row_name, verdict_of
from xibench.record import format as fmt
from xibench.record import pair_metrics
from xibench.record.comparison import Compared, Comparison

ROW_HEIGHT: Final = 46
LOGARITHMIC_FROM: Final = 2.5
"""Ratio of the largest to the smallest ratio from which on the axis is logarithmic."""
CAPTION: Final = (
    "Diamond: new over base with its 95 % interval, which stays valid although it was looked at after every pair. "
    "Dots: the pairs of fresh processes, measured alternately. Left of 1 the new side takes less. The band is the "
    "threshold within which sides count as the same."
)


def content(site: Site) -> Content:
    """A section per file of pairs: what can be concluded, the ratios, and a table of them."""
    return Content(tuple(_section(loaded) for loaded in site.comparisons))


PAGE: Final = PageKind(
    path="comparisons.html",
    label="Comparisons",
    question="Which side is faster, and is that certain?",
    content=content,
    applies=lambda site: bool(site.comparisons),
    of_runs=False,
)


def _section(loaded: LoadedPairs) -> Section:
    found = loaded.comparison
    names = list(dict.fromkeys(name for pair in found.pairs for name in pair.sides or (found.base, found.new)))
    sides = fmt.listing([name.removeprefix(FRAMEWORK) for name in names or (found.base, found.new)])
    blocks: list[FigureBlock | Table] = []
    if found.pairs:
        blocks.append(FigureBlock(
            title="New over base",
            takeaways=tuple(conclusions(found)),
            charts=(Chart(_figure(loaded), "Ratio of each case", "; ".join(conclusions(found))),),
            caption=(CAPTION,),
            table=_table(found),
            columns=1,
        ))  # fmt: skip
    if found.not_compared:
        rows = tuple((name_of(found.base, one.case), "; ".join(one.why)) for one in found.not_compared)
        blocks.append(Table(("Not compared", "Why"), rows))
    subtitle = f"{loaded.name}, {words.moment(loaded.pairs.header.created_utc)}"
    return Section(f"pairs-{loaded.anchor}", sides, tuple(blocks), subtitle=subtitle)


def _figure(loaded: LoadedPairs) -> Figure:
    found = loaded.comparison
    ratios = [_ratios(loaded, pair) for pair in found.pairs]
    values = [pair.ratio for pair in found.pairs]
    lows, highs = ([getattr(pair, bound) for pair in found.pairs] for bound in ("low", "high"))
    rows = list(range(len(found.pairs)))
    shown = [ratio for some in ratios for ratio in some] + [v for v in (*values, *lows, *highs) if v is not None]
    layout = layout_of("new over base")
    layout |= {
        "height": ROW_HEIGHT * len(rows) + 60, "showlegend": False, "margin": {"l": 24, "r": 12, "t": 4, "b": 50},
        "shapes": [
            _band(1 - found.threshold, 1 + found.threshold, "var(--grid)"), _band(1.0, 1.0, "var(--axis)"),
        ],
        "annotations": [
            {
                "x": 0, "xref": "paper", "xanchor": "left", "y": row - 0.42, "yanchor": "middle", "showarrow": False,
                "text": words.chart_text(row_name(found, pair)), "font": {"size": 12, "color": "var(--muted)"},
            }
            for row, pair in zip(rows, found.pairs, strict=True)
        ],
    }  # fmt: skip
    low, high = min(*shown, 1 - found.threshold), max(*shown, 1 + found.threshold)
    if high / low > LOGARITHMIC_FROM:
        layout["xaxis"] |= logarithmic(low / 1.05, high * 1.05)
    else:
        layout["xaxis"] |= {"range": [low - 0.02, high + 0.02], "autorange": False}
    layout["yaxis"] = {
        "range": [len(rows) - 0.6, -0.75], "autorange": False, "visible": False, "fixedrange": True,
    }  # fmt: skip
    dots = {
        "type": "scatter", "mode": "markers", "cliponaxis": False,
        "x": [ratio for some in ratios for ratio in some], "y": [row for row in rows for _ in ratios[row]],
        "marker": {"color": "var(--muted)", "size": 5, "opacity": 0.6},
        "hovertemplate": "a pair: %{x:.3f}<extra></extra>",
    }
    bounds = asymmetric(values, lows, highs)
    means = {
        "type": "scatter", "mode": "markers", "cliponaxis": False, "x": values, "y": rows, "error_x": bounds,
        "marker": {"color": "var(--ink)", "size": 10, "symbol": "diamond"},
        "customdata": [words.chart_text(_hover(loaded, pair)) for pair in found.pairs],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return {"data": [dots, means], "layout": layout}


def _band(start: float, end: float, colour: str) -> dict[str, object]:
    """A band from `start` to `end` over the height of the chart, below the marks; a line if they are the same."""
    return {
        "type": "rect", "xref": "x", "yref": "paper", "x0": start, "x1": end, "y0": 0, "y1": 1, "layer": "below",
        "fillcolor": colour, "line": {"width": 1 if start == end else 0, "color": colour},
    }  # fmt: skip


def _ratios(loaded: LoadedPairs, found: Compared) -> Sequence[float]:
    """The ratios of the pairs that count for a comparison."""
    metric = pair_metrics.find(found.metric or pair_metrics.STEP)
    names = [side.name for side in loaded.pairs.header.sides]
    sides = (names.index(found.sides[0]), names.index(found.sides[1])) if found.sides else (0, 1)
    logs = (
        metric.log_ratio(pair)
        for pair in loaded.pairs.pairs
        if pair.case.key == found.case.key and pair.sides == sides and not pair.superseded
    )
    return [math.exp(ratio) for ratio in logs if ratio is not None]


def _hover(loaded: LoadedPairs, pair: Compared) -> str:
    name = row_name(loaded.comparison, pair)
    return f"{name}: {_ratio(pair)}, {verdict_of(pair)}, {fmt.counted(pair.n, 'pair')}"


def _ratio(found: Compared) -> str:
    if found.low is None or found.high is None:
        return f"{found.ratio:.3f}, too few pairs for an interval"
    return f"{found.ratio:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _table(found: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for pair in found.pairs:
        remarks = "; ".join((*pair.unlike, *pair.changed, *pair.notes))
        rows.append((row_name(found, pair), _ratio(pair), verdict_of(pair), str(pair.n), remarks))
    columns = ("Case", "New over base", "Verdict", "Pairs", "Remarks")
    return Table(columns, tuple(rows), frozenset({1, 3}), fold="Data table")
