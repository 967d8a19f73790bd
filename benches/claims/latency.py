"""The latency of one image with `tuned`, compared with all recipes of third-party implementations on its framework."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benches.claims import baselines
from benches.claims.baselines import RunFigures
from benches.claims.claim import Claim, Figures
from benches.claims.runs import MODELS, derived, measured
from frameworks.api import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.run.plan import Selection

BATCH: Final = 1


def cases() -> tuple[Case, ...]:
    """Plan our implementations with `tuned` and all third-party implementations with each of their recipes, in fp32."""
    return baselines.cases((BATCH,), (Selection(models=MODELS, recipes=("tuned",)),))


def measure(folder: Path) -> Figures:
    """Measure the run and return its figures."""
    stored = measured(folder, cases(), "claims latency")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """Return our latency, that of the baselines and our speedup over them, by framework and network."""
    run_figures = RunFigures(records, calibration)
    cells = {
        f"{framework} {model}": run_figures.cell(framework, model)
        for framework, model in itertools.product(FRAMEWORKS, MODELS)
    }
    return {
        "batch": BATCH,
        "cells": cells,
        "against_best": baselines.against_best(cells.values()),
        "not_measured": run_figures.not_measured,
        "third_party_not_measured": len(run_figures.not_measured),
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


CLAIM: Final = Claim(
    "latency",
    "One image by `tuned` takes no longer than by any public implementation in its framework.",
    baselines.AHEAD_OF_ALL,
    measure,
    derive=lambda folder: derived(folder, figures),
)
