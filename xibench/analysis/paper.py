"""Comparison of the Xception paper's Table 3 with a run: the ratio of Xception's and Inception V3's throughput."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frameworks.architectures import network
from frameworks.cost import cost
from frameworks.paper import SPEED_RATIO as SPEED_RATIO
from frameworks.paper import TABLES as TABLES
from frameworks.paper import PaperTable as PaperTable
from xibench.measure import comparing
from xibench.measure.comparing import Ratio
from xibench.record.schema import Case, Record
from xibench.record.store import Run
from xibench.record.summary import summarise
from xibench.scenarios import OFFLINE

XCEPTION, INCEPTION = "xception", "inception_v3"


@dataclass(frozen=True, slots=True)
class Speed:
    """Throughput of Xception over that of Inception V3, in cases that differ only in the network.

    Attributes:
        case: The case of Xception.
        measured: The ratio, with its 95 % interval if both cases have several processes.
        by_work: The ratio that equal multiply-adds per second would give.
        stated: The paper's ratio, measured in training.
    """

    case: Case
    measured: Ratio
    by_work: float
    stated: float = SPEED_RATIO


def speeds(run: Run) -> list[Speed]:
    """Compute the ratio for each setup in which a run measured the default variants of both networks offline.

    Figures in parentheses are left out.
    """
    found: dict[tuple[object, ...], dict[str, Record]] = {}  # setup -> network -> record
    for record in run.records:
        case = record.case
        offline = case.variant == "default" and case.scenario == OFFLINE.name
        if offline and any(p.steps_s for p in record.processes) and not summarise(record).bracketed:
            key = (case.framework, case.recipe, case.precision, case.batch, case.resolution, case.device, case.task)
            found.setdefault(key, {})[case.model] = record
    pairs = [(both[XCEPTION], both[INCEPTION]) for both in found.values() if {XCEPTION, INCEPTION} <= set(both)]
    return [_speed(*pair) for pair in pairs]


def counted(model: str, variant: str) -> int:
    """Count the trainable parameters of a registered network from its blueprint."""
    return cost(network(model, variant)).parameters_trainable


def document(table: PaperTable) -> dict[str, Any]:
    """Build the document of `xibench paper --json` for a table, with the parameters counted from our blueprints."""
    return {
        "number": table.number, "title": table.title, "conditions": table.conditions,
        "sources": [{"name": s.name, "address": s.address} for s in (table.source, *table.also)],
        "rows": [
            {
                "network": row.network, "model": row.model, "variant": row.variant, "note": row.note,
                "stated": {name: value for (name, *_), value in zip(table.columns, row.values, strict=True)},
                "parameters_counted": counted(row.model, row.variant),
            }
            for row in table.rows
        ],
    }  # fmt: skip


def _speed(xception: Record, inception: Record) -> Speed:
    base, new = ([p.steps_s for p in record.processes if p.steps_s] for record in (xception, inception))
    return Speed(
        xception.case, comparing.unpaired_ratio(base, new, xception.case.seed),
        inception.costs.macs / xception.costs.macs,
    )  # fmt: skip
