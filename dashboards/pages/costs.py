"""Costs: what does a network cost on paper, and how close does each framework come to the roofline?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dashboards import captions, charts, curves, takeaways, trust
from dashboards.content import Block, Cell, Chart, FigureBlock, Key, Prose, Section, Table
from dashboards.runs import Group, Row, network_title, networks
from dashboards.sections import roofline
from dashboards.site import Content, PageKind, Site
from dashboards.style import kind_colour
from xibench.analysis.costs import KINDS, ModelCost, comparison_resolutions, model_cost
from xibench.record import format as fmt
from xibench.record.marks import bracketed
from xibench.record.metrics import MACS_PER_S

COUNTED: Final = (
    "Exact counts from the network's blueprint for one image in fp32, so there is no interval. One multiply-add is one "
    "MAC and two floating-point operations; MACs include convolutions and dense layers."
)


def content(site: Site) -> Content:
    """Totals and blocks of every network in the runs, their rooflines, and the achieved rate of each case."""
    keys = networks(site.runs)
    costs = {key: tuple(model_cost(*key, pixels) for pixels in comparison_resolutions(*key)) for key in keys}
    blocks: tuple[Block, ...] = (_totals(costs), _macs(costs), _parameters(costs)) if costs else ()
    sections = [Section("paper", "On paper", blocks or (Prose(("The runs contain no network.",), "note"),))]
    sections += [roofline.section(run) for run in site.runs if any(row.ok for row in run.rows)]
    sections += [_achieved(group) for group in site.groups("images_per_s", sweeps=False)]
    return Content(tuple(sections))


PAGE: Final = PageKind(
    path="costs.html",
    label="Costs",
    question="What does a network cost, and how close does each framework come to the roofline?",
    content=content,
)


Costs = dict[tuple[str, str], tuple[ModelCost, ...]]
"""The costs of each network at the usual resolutions, its default resolution last."""


def _totals(costs: Costs) -> Table:
    rows = tuple(
        (network_title(c.model, c.variant), f"{c.resolution} px", fmt.grouped(c.parameters_trainable),
         fmt.grouped(c.parameters_total), fmt.grouped(c.macs), fmt.grouped(c.activations), fmt.grouped(c.bytes_moved))
        for found in costs.values() for c in sorted(found, key=lambda c: c.resolution)
    )
    columns = (
        "Network", "Input", "Parameters, trainable", "Parameters, total", "MACs per image", "Activations",
        "Bytes moved",
    )
    return Table(
        columns, rows, frozenset(range(1, 7)),
        caption=f"{COUNTED} Activations are the outputs of those layers; bytes moved are the inputs, outputs "
        "and parameters of every layer, each counted once.",
    )


def _macs(costs: Costs) -> FigureBlock:
    drawings, sentences = [], []
    for (model, variant), (*others, own) in costs.items():
        title, sentence = network_title(model, variant), _where_the_work_is(own)
        blocks = [block for block in own.blocks if block.macs]
        parts = [
            (kind, kind_colour(kind), [block.macs_by_kind.get(kind, 0) / 1e6 for block in blocks]) for kind in KINDS
        ]
        legend = [Key(kind, colour) for kind, colour, values in parts if any(values)]
        ticks: list[float] = []
        if others:
            there = {block.name: block.macs / 1e6 for block in others[0].blocks}
            ticks = [there[block.name] for block in blocks]
            legend.append(Key(f"whole block at {others[0].resolution} px", "var(--ink)", "hollow"))
        figure = charts.columns(
            [block.name for block in blocks], parts, "multiply-adds per image (millions)", ticks,
            f"at {others[0].resolution} px" if others else "",
        )
        drawings.append(Chart(figure, f"{title}, {own.resolution} px", sentence, tuple(legend)))
        sentences.append(sentence)
    return FigureBlock("Multiply-adds by block", tuple(sentences), tuple(drawings), (COUNTED,))


def _parameters(costs: Costs) -> FigureBlock:
    drawings, sentences = [], []
    for (model, variant), found in costs.items():
        cost = found[-1]
        blocks = [block for block in cost.blocks if block.parameters]
        largest = max(blocks, key=lambda block: block.parameters)
        share = fmt.percentage(100 * largest.parameters / cost.parameters_total)
        sentence = (
            f"{network_title(model, variant)}: the block with the most parameters is {largest.name}, {share} of "
            f"{fmt.millions(cost.parameters_total)}."
        )
        parts = [("parameters", "var(--part-1)", [block.parameters / 1e6 for block in blocks])]
        figure = charts.columns([block.name for block in blocks], parts, "parameters (millions)")
        drawings.append(Chart(figure, network_title(model, variant), sentence))
        sentences.append(sentence)
    caption = "Exact counts from the blueprint at each network's default resolution, including batch-norm statistics."
    return FigureBlock("Parameters by block", tuple(sentences), tuple(drawings), (caption,))


def _where_the_work_is(cost: ModelCost) -> str:
    kind = max(KINDS, key=cost.macs_of)
    block = max(cost.blocks, key=lambda b: b.macs)
    names = {"pointwise": "pointwise (1 × 1) convolutions", "conv": "full convolutions", "dense": "dense layers"}
    called = names.get(kind, f"{kind} convolutions")
    return (
        f"{network_title(cost.model, cost.variant)}: {fmt.percentage(100 * cost.macs_of(kind) / cost.macs)} of "
        f"{fmt.number(cost.macs / 1e9)} G multiply-adds at {cost.resolution} px are {called}; the "
        f"block with the most is {block.name}, {fmt.percentage(100 * block.macs / cost.macs)}."
    )


def _achieved(group: Group) -> Section:
    scale = charts.scale(group.measured, _value)
    sentences = tuple(
        takeaways.extremes(panel, MACS_PER_S, lambda macs_per_s: fmt.rate(2 * macs_per_s), "achieved rate")
        for panel in group.panels
    )
    what = (
        "Twice the multiply-adds of a step over its measured time, regardless of the operations that the framework "
        f"ran. {captions.bars(group, scale.cuts)}"
    )
    figure = FigureBlock(
        title="Achieved floating-point rate",
        takeaways=sentences,
        charts=tuple(
            Chart(charts.bars(panel.rows, _value, "achieved rate (GFLOP/s)", scale), panel.title, sentence,
                  curves.hollow_key(group.measured, "hollow-bar"))
            for panel, sentence in zip(group.panels, sentences, strict=True)
        ),
        caption=(what, *captions.measured(group)),
        table=_rate_table(group),
    )
    return Section(group.key, group.title, (figure,), subtitle=group.subtitle)


@dataclass(frozen=True, slots=True)
class Rate:
    """GFLOP/s with the bounds of the 95 % interval."""

    median: float
    low: float | None
    high: float | None


def _gflops(row: Row) -> Rate:
    step, flops = row.summary.step_s, 2 * row.record.costs.macs / 1e9
    assert step is not None
    low = None if step.high is None else flops / step.high
    high = None if step.low is None else flops / step.low
    return Rate(flops / step.median, low, high)


def _value(row: Row) -> charts.Value | None:
    if row.summary.step_s is None:
        return None
    rate = _gflops(row)
    text = trust.beside(row, fmt.number(rate.median))
    hover = trust.hover(row, f"{fmt.estimate(rate)} GFLOP/s")
    return charts.Value(rate.median, rate.low, rate.high, text, hover, bracketed(row.summary))


def _rate_table(group: Group) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in group.panels:
        for row in panel.measured:
            rate, attainable = _gflops(row), roofline.attainable(row)
            rows.append((
                panel.title, row.framework, trust.recipe(row), fmt.grouped(row.record.costs.macs),
                fmt.number(rate.median), trust.bounds(rate),
                fmt.or_none(attainable, lambda v: fmt.number(v / 1e9)), *trust.cells(row),
            ))
    columns = (
        "Network", "Framework", "Recipe", "MACs per step", "GFLOP/s", "95 % interval", "Attainable GFLOP/s",
        *trust.COLUMNS,
    )
    return Table(columns, tuple(rows), trust.numeric(3, columns), fold="Data table")
