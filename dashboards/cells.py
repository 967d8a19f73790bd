"""Table cells that several pages share; those that tell how far a figure may be trusted are in `trust`."""

from __future__ import annotations

from dashboards.content import Cell, Marked
from dashboards.runs import Row
from xibench.record import format as fmt


def recipe(row: Row) -> Cell:
    """The recipe's name, marked where something else ran than was wanted."""
    return Marked(row.recipe, "something else ran than was wanted") if row.summary.substitutions else row.recipe


def bounds(estimate: fmt.Estimate) -> str:
    """The interval's bounds alone."""
    if estimate.low is None or estimate.high is None:
        return "too few steps"
    return " to ".join(fmt.edges(estimate.median, estimate.low, estimate.high))
