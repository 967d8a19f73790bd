"""Comparison of `tuned` with all recipes of the third-party implementations on the same framework, in one run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from benches.claims.claim import NOT_SHOWN, Target
from benches.claims.runs import MODELS, ratio, ratio_figures
from frameworks.api import THIRD_PARTY
from xibench.record.schema import Calibration, Case, Record
from xibench.record.summary import summarise
from xibench.run import plan
from xibench.run.plan import Selection

AGREE: Final = {"fp32": 1e-3, "bf16": 0.1}  # largest relative difference between output means of the same network
AHEAD_OF_ALL: Final = (
    Target("against_best.min", at_least=1.0),
    Target("against_best.min_low", at_least=0.97, beyond=NOT_SHOWN),
    Target("against_best.geometric_mean", at_least=1.25),
    Target("third_party_not_measured", at_most=0, beyond=NOT_SHOWN),
)
"""What a claim asks that says "ahead of every public implementation": each of them measured, and none ahead."""


def cases(
    batches: tuple[int, ...], ours: Sequence[Selection], precisions: tuple[str, ...] = ("fp32",), device: str = "cpu"
) -> tuple[Case, ...]:
    """Plan a run of our implementations and of all third-party implementations with each of their recipes.

    Args:
        batches: Batch sizes of all cases.
        ours: Selections of our cases, without batches and device.
        precisions: Precisions of the third-party cases.
        device: Device of all cases.
    """
    theirs = (
        Selection(models=MODELS, frameworks=(name,), recipes=implementation.distinct_recipes, precisions=precisions)
        for name, implementation in THIRD_PARTY.items()
    )
    return plan.cases(*(replace(selection, batches=batches, device=device) for selection in (*ours, *theirs)))


class RunFigures:
    """The figures of all cases of a run."""

    def __init__(self, records: Sequence[Record], calibration: Calibration | None) -> None:
        self.records = {record.case: record for record in records}
        self.summaries = {case: summarise(record, calibration) for case, record in self.records.items()}

    def find(
        self, name: str, model: str, recipe: str, precision: str = "fp32", batch: int | None = None
    ) -> Case:
        """Return the case of an implementation, network and recipe; `batch` is None if the run has one batch size."""
        return next(
            c for c in self.records
            if (c.framework, c.model, c.recipe, c.precision) == (name, model, recipe, precision)
            and batch in (None, c.batch)
        )  # fmt: skip

    @property
    def not_measured(self) -> dict[str, str]:
        """Third-party implementations with a case that was planned and has no figure: name -> why."""
        missing = (c for c, summary in self.summaries.items() if c.framework in THIRD_PARTY and not summary.step_s)
        return {case.framework: self.summaries[case].reason or self.summaries[case].status for case in missing}

    def ratio(self, ours: Case, theirs: Case) -> dict[str, float | None] | None:
        """Return the speedup of our step over theirs, with its interval; None if either was not measured."""
        return ratio_figures(ratio(self.records[ours], self.records[theirs]))

    def cell(
        self, framework: str, model: str, precision: str = "fp32", batch: int | None = None, alike: Iterable[Case] = ()
    ) -> dict[str, Any]:
        """Compare `tuned` with each third-party implementation on the same framework.

        Args:
            framework: The framework.
            model: The network.
            precision: Precision of both sides.
            batch: Batch size of both sides; None if the run has only one.
            alike: Further cases whose outputs must agree with those of the compared ones.

        Returns:
            The figures of both sides, and the speedups of `tuned`: over each recipe, over the fastest default, over the
            fastest recipe.
        """
        ours = self.find(framework, model, "tuned", precision, batch)
        baselines = {
            f"{name} {recipe}": self.find(name, model, recipe, precision, batch)
            for name, implementation in THIRD_PARTY.items() if implementation.backend == framework
            for recipe in implementation.distinct_recipes
        }  # fmt: skip
        against = {name: self.ratio(ours, case) for name, case in baselines.items()}
        known = {name: found["ratio"] for name, found in against.items() if found}
        return {
            "ours": self.figures(ours),
            "contenders": {name: self.figures(case) for name, case in baselines.items()},
            "against": against,
            "against_default": min_known(value for name, value in known.items() if name.endswith(" default")),
            "against_best": min_known(known.values()),
            "outputs_agree": self._agree((ours, *alike, *baselines.values())),
        }

    def _agree(self, compared: Iterable[Case]) -> bool:
        """Return whether the output means of cases agree, apart from cases that ran with substituted settings."""
        same = [c for c in compared if self.records[c].processes and not self.summaries[c].substitutions]
        means = [self.records[case].processes[0].output_mean for case in same]
        tolerance = max((AGREE[case.precision] for case in same), default=0.0)
        return max(means) - min(means) <= tolerance * max(map(abs, means)) if means else False

    def figures(self, case: Case) -> dict[str, Any]:
        """Return the throughput, step time and start time of a case, and its substituted settings."""
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


def against_best(cells: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return how far `tuned` is ahead of the fastest recipe of any implementation, over all cells.

    Args:
        cells: As `RunFigures.cell` returns them.

    Returns:
        min: over the cells. min_low: of the lower bounds. geometric_mean: over the cells.
    """
    found = list(cells)
    return {
        "min": min_known(cell["against_best"] for cell in found),
        "min_low": min_known(ratio["low"] for cell in found for ratio in cell["against"].values() if ratio),
        "geometric_mean": geometric_mean(cell["against_best"] for cell in found),
    }


def min_known(values: Iterable[float | None]) -> float | None:
    """Return the minimum of the values that are not None; None if there are none."""
    return min((value for value in values if value is not None), default=None)


def max_known(values: Iterable[float | None]) -> float | None:
    """Return the maximum of the values that are not None; None if there are none."""
    return max((value for value in values if value is not None), default=None)


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean; None if a value is missing, because means over different cells are not comparable."""
    found = list(values)
    return None if None in found else math.exp(sum(math.log(v) for v in found if v) / len(found))
