"""Further metrics: those that plugins have registered and that no other page shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from dashboards import captions, charts, curves, takeaways, trust, words
from dashboards.content import Cell, Chart, FigureBlock, Section, Table
from dashboards.runs import Group, Row
from dashboards.site import Content, PageKind, Site
from xibench.record import format as fmt
from xibench.record.metrics import METRICS, Metric, central

DIRECTION: Final = {"higher": " Longer is better.", "lower": " Shorter is better.", None: ""}


def content(site: Site) -> Content:
    """A figure and a table for each metric that no other page shows, from the registry."""
    return Content(tuple(
        Section(group.key, group.title, tuple(_figure(group, metric) for metric in found), subtitle=group.subtitle)
        for group in site.groups()
        if (found := _metrics(group))
    ))  # fmt: skip


def applies(site: Site) -> bool:
    """Whether any case has such a metric."""
    return any(_metrics(group) for group in site.groups())


PAGE: Final = PageKind(
    path="further.html",
    label="Further metrics",
    question="What do the metrics of plugins show?",
    content=content,
    applies=applies,
)


def _metrics(group: Group) -> list[Metric[Any]]:
    return [
        metric
        for metric in METRICS.values()
        if not metric.placed and any(central(row.summary[metric]) is not None for row in group.measured)
    ]


def _figure(group: Group, metric: Metric[Any]) -> FigureBlock:
    scale = charts.scale(group.measured, lambda row: _value(row, metric))
    sentences = tuple(
        takeaways.extremes(panel, metric, lambda value: _shown(metric, value)) for panel in group.panels
    )
    unit = charts.unit_of(metric)
    return FigureBlock(
        title=metric.label[0].upper() + metric.label[1:],
        takeaways=sentences,
        charts=tuple(
            Chart(
                charts.bars(panel.rows, lambda row: _value(row, metric), f"{metric.label} ({unit})", scale),
                panel.title, sentence, curves.hollow_key(group.measured, "hollow-bar") if metric.unit != "B" else (),
            )
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(f"{metric.name}, in {unit}.{DIRECTION[metric.better]}", *captions.measured(group)),
        table=_table(group, metric),
    )


def _value(row: Row, metric: Metric[Any]) -> charts.Value | None:
    """A bar without the attained fraction, which is unrelated to this metric."""
    value = charts.value_of(row, metric)
    return None if value is None else replace(value, text=fmt.number(value.value))


def _table(group: Group, metric: Metric[Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.rows:
            reason = row.summary.absent.get(metric.name, "") if row.ok else words.status(row.summary.status)
            value = charts.value_of(row, metric)
            shown = (reason or fmt.NONE) if value is None else fmt.bounded(value.value, value.low, value.high)
            rows.append((panel.title, row.framework, trust.recipe(row), shown, *trust.cells(row)))
    columns = ("Network", "Framework", "Recipe", f"{metric.label}, {charts.unit_of(metric)}", *trust.COLUMNS)
    return Table(columns, tuple(rows), trust.numeric(3, columns), fold="Data table")


def _shown(metric: Metric[Any], value: float) -> str:
    return f"{fmt.number(value * charts.scale_of(metric))} {charts.unit_of(metric)}"
