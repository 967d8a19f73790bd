"""`tuned` beside every contender of its framework, by each of the contender's recipes, in one run at one batch size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from benches.claims.runs import MODELS, ratio, told
from frameworks.api import THIRD_PARTY
from xibench.record.schema import Calibration, Case, Record
from xibench.record.summary import summarise
from xibench.run import plan
from xibench.run.plan import Selection

AGREE: Final = {"fp32": 1e-3, "bf16": 0.1}  # of the outputs' mean: the networks that are compared are the same


def cases(
    batches: tuple[int, ...], ours: Sequence[Selection], precisions: tuple[str, ...] = ("fp32",), device: str = "cpu"
) -> tuple[Case, ...]:
    """Ours in these selections, and every contender by each of its recipes in these precisions."""
    theirs = (
        Selection(models=MODELS, frameworks=(name,), recipes=contender.distinct_recipes, precisions=precisions)
        for name, contender in THIRD_PARTY.items()
    )
    return plan.all_cases([replace(selection, batches=batches, device=device) for selection in (*ours, *theirs)])


class Taken:
    """What a run took of each case."""

    def __init__(self, records: Sequence[Record], calibration: Calibration | None) -> None:
        self.records = {record.case: record for record in records}
        self.summaries = {case: summarise(record, calibration) for case, record in self.records.items()}

    def find(
        self, name: str, model: str, recipe: str, precision: str = "fp32", batch: int | None = None
    ) -> Case:
        """The case of an implementation and a network by a recipe. batch: None where the run has one."""
        return next(
            c for c in self.records
            if (c.framework, c.model, c.recipe, c.precision) == (name, model, recipe, precision)
            and batch in (None, c.batch)
        )  # fmt: skip

    def ratio(self, ours: Case, theirs: Case) -> dict[str, float | None] | None:
        """How many times as long their step takes as ours, with its interval."""
        return told(ratio(self.records[ours], self.records[theirs]))

    def cell(
        self, framework: str, model: str, precision: str = "fp32", batch: int | None = None, alike: Iterable[Case] = ()
    ) -> dict[str, Any]:
        """`tuned` against each contender. alike: further cases of ours whose outputs have to agree."""
        ours = self.find(framework, model, "tuned", precision, batch)
        rivals = {
            f"{name} {recipe}": self.find(name, model, recipe, precision, batch)
            for name, contender in THIRD_PARTY.items() if contender.backend == framework
            for recipe in contender.distinct_recipes
        }  # fmt: skip
        against = {name: self.ratio(ours, case) for name, case in rivals.items()}
        known = {name: found["ratio"] for name, found in against.items() if found}
        return {
            "ours": self.figures(ours),
            "contenders": {name: self.figures(case) for name, case in rivals.items()},
            "against": against,
            "against_default": least(value for name, value in known.items() if name.endswith(" default")),
            "against_best": least(known.values()),
            "outputs_agree": self._agree((ours, *alike, *rivals.values())),
        }

    def _agree(self, compared: Iterable[Case]) -> bool:
        same = [c for c in compared if self.records[c].processes and not self.summaries[c].substitutions]
        means = [self.records[case].processes[0].output_mean for case in same]
        tolerance = max((AGREE[case.precision] for case in same), default=0.0)
        return max(means) - min(means) <= tolerance * max(map(abs, means)) if means else False

    def figures(self, case: Case) -> dict[str, Any]:
        """How fast a case is, how long it takes to start, and what it could not have."""
        summary = self.summaries[case]
        rate, step = summary.images_per_s, summary.step_s
        return {
            "status": summary.status,
            "reason": summary.reason,
            "images_per_s": rate and {"median": rate.median, "low": rate.low, "high": rate.high},
            "step_s": step and {"median": step.median, "low": step.low, "high": step.high},
            "attained": summary.attained,
            "start_s": summary.until_first_result_s,
            "processes": summary.processes,
            "steps": step.n if step else None,
            "substitutions": [f"{s.ran} instead of {s.wanted}: {s.why}" for s in summary.substitutions],
        }


def least(values: Iterable[float | None]) -> float | None:
    """None if there is none."""
    return min((value for value in values if value is not None), default=None)


def most(values: Iterable[float | None]) -> float | None:
    """None if there is none."""
    return max((value for value in values if value is not None), default=None)


def mean(values: Iterable[float | None]) -> float | None:
    """Geometric; None if any is missing: a mean of fewer cells is another figure."""
    found = list(values)
    return None if None in found else math.exp(sum(math.log(v) for v in found if v) / len(found))
