"""Accuracy: published accuracies against parameters, multiply-adds and measured speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from dashboards import captions, curves, takeaways, trust, words
from dashboards.content import Block, Cell, Chart, FigureBlock, Key, Link, Note, Prose, Section, Table
from dashboards.runs import Group, Panel
from dashboards.site import Content, PageKind, Site
from dashboards.style import family, framework_colour, recipe_symbol
from xibench.analysis.published_accuracy import LABEL, PublishedAccuracy, published_accuracies, reference_accuracy
from xibench.record import format as fmt
from xibench.record.metrics import IMAGES_PER_S
from xibench.record.ranking import rank

SETTING: Final = "ImageNet validation, single crop"
DISCLAIMER: Final = (
    f"Every accuracy on this page is {LABEL} by the cited source for its trained weights and was not measured by "
    "xibench. Costs are exact counts; speeds were measured in these runs."
)
CREDIT: Final = f"Accuracies: {LABEL} by the sources in the table below, not measured by xibench."
INTERVALS: Final = Note(
    "Accuracy intervals are 95 % Wilson intervals for 50,000 validation images, computed here since the sources give "
    "none. They exclude the effects of retraining, cropping and resampling"
)


def content(site: Site) -> Content:
    """Published accuracies against parameters, multiply-adds, and the speed measured in these runs."""
    entries = published_accuracies()
    blocks: tuple[Block, ...] = (Prose((DISCLAIMER,), "note"), _against_parameters(entries), _against_macs(entries))
    groups = site.groups("images_per_s", sweeps=False)
    measured = [_against_speed(group) for group in groups if any(_accurate(group))]
    sections = [Section("published", "Published accuracies and counted costs", blocks)]
    sections += measured or [_no_speed()]
    sections.append(Section("sources", "All figures and sources", (_table(entries),)))
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="accuracy.html",
    label="Accuracy",
    question="How much accuracy does each parameter, multiply-add or second buy?",
    content=content,
)


def _against_parameters(entries: Sequence[PublishedAccuracy]) -> FigureBlock:
    counted = [entry for entry in entries if entry.parameters_trainable is not None]
    best, other = _references()
    takeaway = (
        f"{best.weights} reaches {fmt.percentage(best.top1)} top-1 with {_millions(best)} parameters, "
        f"{fmt.number(best.top1 - other.top1, 1)} points above {other.weights} with {_millions(other)}"
        f"{_not_significant(best, other)} ({LABEL})."
    )
    figure = curves.scatter(
        _families(counted, lambda e: (e.parameters_trainable or 0) / 1e6, lambda e: (e.top1, e.top1_low, e.top1_high)),
        "trainable parameters (millions)", "top-1 accuracy (%), published",
    )
    return FigureBlock(
        "Top-1 accuracy against parameters", (takeaway,),
        (Chart(figure, SETTING, takeaway, _family_keys(counted)),),
        (CREDIT, f"n = 50,000 images; {fmt.plural(len(counted), 'set')} of weights.", INTERVALS), columns=1,
    )


def _against_macs(entries: Sequence[PublishedAccuracy]) -> FigureBlock:
    counted = [entry for entry in entries if entry.macs is not None]
    best, other = _references()
    takeaway = (
        f"{best.weights} has a top-1 error of {fmt.percentage(100 - best.top1)} for {_giga(best)} G multiply-adds per "
        f"image, {other.weights} {fmt.percentage(100 - other.top1)} for {_giga(other)} G ({LABEL})."
    )
    figure = curves.scatter(
        _families(
            counted, lambda e: (e.macs or 0) / 1e9, lambda e: (100 - e.top1, 100 - e.top1_high, 100 - e.top1_low)
        ),
        "multiply-adds per image (billions)", "top-1 error (%), published",
    )
    caption = "Multiply-adds at the resolution of the published figure. n = 50,000 images."
    return FigureBlock(
        "Top-1 error against multiply-adds", (takeaway,),
        (Chart(figure, SETTING, takeaway, _family_keys(counted)),),
        (CREDIT, caption, INTERVALS), columns=1,
    )


def _families(entries: Sequence[PublishedAccuracy], x: Any, y: Any) -> list[dict[str, Any]]:
    traces = []
    for key in dict.fromkeys(entry.family for entry in entries):
        name, colour, symbol = family(key)
        members = [entry for entry in entries if entry.family == key]
        points = [y(entry) for entry in members]
        traces.append({
            "type": "scatter", "mode": "markers+text", "name": name, "cliponaxis": False,
            "x": [x(entry) for entry in members], "y": [value for value, _, _ in points],
            "text": [f"  {entry.weights}" if entry in _references() else "" for entry in members],
            "textposition": "middle right", "textfont": {"size": 12, "color": "var(--ink)"},
            "error_y": {
                "type": "data", "symmetric": False, "color": colour, "thickness": 1, "width": 0,
                "array": [high - value for value, _, high in points],
                "arrayminus": [value - low for value, low, _ in points],
            },
            "marker": {
                "color": colour, "symbol": symbol, "size": 10, "opacity": 0.85,
                "line": {"color": "var(--paper)", "width": 1},
            },
            "customdata": [
                f"<b>{words.chart_text(e.weights)}</b><br>{fmt.percentage(e.top1, 2)} top-1, {e.resolution} px"
                f"<br>{words.chart_text(e.source)} ({LABEL})" for e in members
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        })
    return traces


def _family_keys(entries: Sequence[PublishedAccuracy]) -> tuple[Key, ...]:
    return tuple(Key(*family(key)) for key in dict.fromkeys(entry.family for entry in entries))


def _against_speed(group: Group) -> Section:
    found = _accurate(group)
    sentences = tuple(_reached(panel, accuracy) for panel, accuracy in found)
    traces = _speed_traces(found)
    figure = curves.scatter(traces, "images/s measured here (log scale)", "top-1 accuracy (%), published", 340)
    _draw_levels(figure, [accuracy for _, accuracy in found])
    block = FigureBlock(
        "Published accuracy against measured speed", sentences,
        (Chart(figure, "One mark per framework and recipe", " ".join(sentences),
               (*curves.keys(group.measured), *curves.hollow_key(group.measured))),),
        (CREDIT, _speed_caption(group, [accuracy for _, accuracy in found]), *captions.measured(group)),
        columns=1,
    )
    return Section(group.key, group.title, (block,), subtitle=group.subtitle)


def _reached(panel: Panel, accuracy: PublishedAccuracy) -> str:
    """State the published accuracy and the highest median throughput, and whether another case may be as fast."""
    ranking = rank([row.summary for row in panel.rows], IMAGES_PER_S)
    text = f"{panel.title}: {fmt.percentage(accuracy.top1)} top-1 ({LABEL})"
    rate = ranking.order[0].images_per_s if ranking.order else None
    if rate is None:
        return f"{text}; no measured speed is ranked.{takeaways.left_out(ranking)}"
    what = "the fastest" if ranking.certain else "the highest median" if ranking.undecided else "the only ranked case"
    doubt = " It is not certain to be the fastest." if ranking.undecided else ""
    here = f"{fmt.estimate(rate)} images/s measured here ({takeaways.name(ranking.order[0])}, {what})"
    return f"{text} at {here}.{doubt}{takeaways.left_out(ranking)}"


def _speed_caption(group: Group, accuracies: Sequence[PublishedAccuracy]) -> str:
    weights = fmt.listing([a.weights for a in accuracies])
    sources = fmt.listing(sorted({a.source for a in accuracies}))
    return (
        f"The timed networks have {group.case.weights} weights; accuracies are those of {weights} ({sources}). Bands: "
        "95 % interval of the accuracy; lines: that of the throughput."
    )


def _accurate(group: Group) -> list[tuple[Panel, PublishedAccuracy]]:
    """Panels with both a measured row and a published accuracy at the same resolution."""
    pairs = [(panel, reference_accuracy(panel.model, panel.variant)) for panel in group.panels if panel.measured]
    return [(panel, found) for panel, found in pairs if found and found.resolution == panel.resolution]


def _speed_traces(found: Sequence[tuple[Panel, PublishedAccuracy]]) -> list[dict[str, Any]]:
    rows = [(row, accuracy) for panel, accuracy in found for row in panel.measured]
    traces = []
    for framework in dict.fromkeys(row.case.framework for row, _ in rows):
        mine = [
            (row, a, rate) for row, a in rows if row.case.framework == framework and (rate := row.summary.images_per_s)
        ]
        colour = framework_colour(framework)
        traces.append({
            "type": "scatter", "mode": "markers", "name": words.chart_text(words.name(framework)), "cliponaxis": False,
            "x": [rate.median for _, _, rate in mine], "y": [a.top1 for _, a, _ in mine],
            "error_x": {
                "type": "data", "symmetric": False, "color": "var(--ink)", "thickness": 1.5, "width": 4,
                "array": [(r.high or r.median) - r.median for _, _, r in mine],
                "arrayminus": [r.median - (r.low or r.median) for _, _, r in mine],
            },
            "marker": {
                "color": colour, "size": 12, "line": {"color": "var(--paper)", "width": 1.5},
                "symbol": [recipe_symbol(row.case.recipe, row.summary.bracketed) for row, _, _ in mine],
            },
            "customdata": [
                trust.hover(row, words.name(row.case.model), f"{fmt.estimate(rate)} images/s",
                            f"{fmt.percentage(a.top1, 2)} top-1 ({LABEL})") for row, a, rate in mine
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        })
    return traces


def _draw_levels(figure: dict[str, Any], accuracies: Sequence[PublishedAccuracy]) -> None:
    """Draw a band and a name at the accuracy of each network."""
    layout = figure["layout"]
    rates = [x for trace in figure["data"] for x in trace["x"]]
    low, high = min(rates) / 1.4, max(rates) * 1.4
    layout["xaxis"] |= {
        "type": "log", "autorange": False, "range": [math.log10(low), math.log10(high)], "tickmode": "array",
        "tickvals": [v for e in range(-3, 7) for d in (1, 2, 5) if low <= (v := d * 10.0**e) <= high],
    }
    for trace in figure["data"]:  # intervals end at the edge
        bars = trace["error_x"]
        bars["array"] = [min(beyond, high - x) for beyond, x in zip(bars["array"], trace["x"], strict=True)]
        bars["arrayminus"] = [min(below, x - low) for below, x in zip(bars["arrayminus"], trace["x"], strict=True)]
    layout["yaxis"]["range"] = [min(a.top1_low for a in accuracies) - 0.35, max(a.top1_high for a in accuracies) + 0.35]
    layout["shapes"] = [
        {"type": "rect", "layer": "below", "xref": "paper", "x0": 0, "x1": 1, "y0": a.top1_low, "y1": a.top1_high,
         "fillcolor": "var(--band)", "line": {"width": 0}} for a in accuracies
    ]
    layout["annotations"] = [
        {
            "xref": "paper", "x": 0, "xanchor": "left", "xshift": 4, "y": a.top1_high, "yanchor": "top",
            "showarrow": False, "text": words.name(a.model or a.weights), "font": {"size": 12, "color": "var(--muted)"},
        } for a in accuracies
    ]


def _table(entries: Sequence[PublishedAccuracy]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (e.weights, fmt.number(e.top1, 2), fmt.number(e.top5, 2), f"{e.resolution} px",
         _or_none(e.parameters_trainable), _or_none(e.macs), _per_million(e), Link(e.source, e.address), e.note)
        for e in entries
    ]
    columns = (
        f"Weights ({LABEL})", "Top\u20111, %", "Top\u20115, %", "Input", "Parameters, trainable", "MACs per image",
        "Top\u20111 points per M parameters", "Source", "Note",
    )
    return Table(columns, tuple(rows), frozenset(range(1, 7)), caption=f"{CREDIT} {fmt.NONE}: no blueprint to count.")


def _no_speed() -> Section:
    text = "No case of these runs has both a result and a published accuracy of its network at its resolution."
    return Section("speed", "Published accuracy against measured speed", (Prose((text,), "note"),))


def _references() -> tuple[PublishedAccuracy, PublishedAccuracy]:
    """The reference weights of Xception and Inception V3, the more accurate ones first."""
    pair = [found for model in ("xception", "inception_v3") if (found := reference_accuracy(model, "default"))]
    best, other = sorted(pair, key=lambda entry: -entry.top1)
    return best, other


def _not_significant(best: PublishedAccuracy, other: PublishedAccuracy) -> str:
    return "" if best.top1_low > other.top1_high else ", within the sampling error of the validation set"


def _millions(entry: PublishedAccuracy) -> str:
    return fmt.millions(entry.parameters_trainable or 0)


def _giga(entry: PublishedAccuracy) -> str:
    return fmt.number((entry.macs or 0) / 1e9)


def _per_million(entry: PublishedAccuracy) -> str:
    return fmt.NONE if not entry.parameters_trainable else fmt.number(entry.top1 / (entry.parameters_trainable / 1e6))


def _or_none(value: int | None) -> str:
    return fmt.NONE if value is None else fmt.grouped(value)

