"""How long one image takes by `tuned`, against every contender in its framework by each of the contender's recipes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benches.claims import rivals
from benches.claims.claim import Claim, Figures, Target
from benches.claims.rivals import Taken, least, mean
from benches.claims.runs import MODELS, measured
from frameworks.api import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.run.plan import Selection

BATCH: Final = 1


def cases() -> tuple[Case, ...]:
    """Ours tuned, and every contender by each of its recipes, in fp32."""
    return rivals.cases((BATCH,), (Selection(models=MODELS, recipes=("tuned",)),))


def measure(folder: Path) -> Figures:
    """The run, then its ratios."""
    stored = measured(folder, cases(), "latency")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """By framework and network: our latency, the contenders', and the ratios. Above 1, ours is faster."""
    taken = Taken(records, calibration)
    cells = {
        f"{framework} {model}": taken.cell(framework, model)
        for framework, model in itertools.product(FRAMEWORKS, MODELS)
    }
    return {
        "batch": BATCH,
        "cells": cells,
        "against_best": {
            "least": least(cell["against_best"] for cell in cells.values()),
            "geometric_mean": mean(cell["against_best"] for cell in cells.values()),
        },
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


CLAIM: Final = Claim(
    "latency",
    "One image by `tuned` takes no longer than by any public implementation in its framework.",
    (Target("against_best.least", at_least=1.0),),
    measure,
)
