"""The claim `speed` on an NVIDIA GPU: fp32 and bf16, from batch 1 to a batch that fills the GPU.

It has not been measured yet, but written and tested without a GPU. All cases are interleaved in one run, whose file is
stored; an interrupted measurement resumes from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims import baselines
from benches.claims.baselines import RunFigures, geometric_mean
from benches.claims.claim import Claim, Figures, Target
from benches.claims.runs import MODELS, measured
from frameworks.api import FRAMEWORKS
from xibench.errors import UsageError
from xibench.record.schema import Calibration, Case, Record
from xibench.run.plan import Selection, resolve_device

DEVICE: Final = "cuda"
PRECISIONS: Final = ("fp32", "bf16")
BATCHES: Final = (1, 8, 64, 256)
KINDS: Final = tuple(itertools.product(FRAMEWORKS, MODELS, PRECISIONS, BATCHES))


def cases() -> tuple[Case, ...]:
    """Plan `default`, `tuned` and every third-party recipe, at every precision and batch."""
    ours = Selection(models=MODELS, recipes=("default", "tuned"), precisions=PRECISIONS)
    return baselines.cases(BATCHES, (ours,), PRECISIONS, DEVICE)


def measure(folder: Path) -> Figures:
    """Measure the run and return its figures. Raises UsageError if no framework sees a GPU."""
    if resolve_device(tuple(FRAMEWORKS), "auto") != DEVICE:
        raise UsageError("claim speed_gpu: no framework sees a CUDA device; `xibench doctor` lists what is missing")
    stored = measured(folder, cases(), "speed_gpu")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """Return our throughput, that of the baselines and our speedup, by framework, network, precision and batch."""
    run_figures = RunFigures(records, calibration)
    cells = {" ".join(map(str, kind)): _cell(run_figures, *kind) for kind in KINDS}
    return {
        "cells": cells,
        "against_default": {
            "geometric_mean": geometric_mean(cell["against_default"] for cell in cells.values()),
        },
        "against_best": baselines.against_best(cells.values()),
        "not_measured": run_figures.not_measured,
        "third_party_not_measured": len(run_figures.not_measured),
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


def _cell(run_figures: RunFigures, framework: str, model: str, precision: str, batch: int) -> dict[str, Any]:
    ours, default = (run_figures.find(framework, model, recipe, precision, batch) for recipe in ("tuned", "default"))
    return run_figures.cell(framework, model, precision, batch, alike=(default,)) | {
        "ours_plain": run_figures.figures(default),
        "against_plain": run_figures.ratio(ours, default),
    }


CLAIM: Final = Claim(
    "speed_gpu",
    "On an NVIDIA GPU `tuned` is ahead of every public implementation in its framework, at batch 1 to 256.",
    (Target("against_default.geometric_mean", at_least=2.2), *baselines.AHEAD_OF_ALL),
    measure,
    device=DEVICE,
    derive=figures,
)
