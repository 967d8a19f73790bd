"""The claim `speed` on an NVIDIA GPU: fp32 and bf16, from one image to what fills the card.

Written and tested without a card: unmeasured. All cases are interleaved in one run, whose file is kept; an interrupted
measurement goes on with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims import rivals
from benches.claims.claim import Claim, Figures, Target
from benches.claims.rivals import Taken, least, mean
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
    """Ours, plain and tuned, and every contender by each of its recipes, at every precision and batch."""
    ours = Selection(models=MODELS, recipes=("default", "tuned"), precisions=PRECISIONS)
    return rivals.cases(BATCHES, (ours,), PRECISIONS, DEVICE)


def measure(folder: Path) -> Figures:
    """The run, then its ratios. Raises UsageError where no framework sees a card."""
    if resolve_device(tuple(FRAMEWORKS), "auto") != DEVICE:
        raise UsageError("claim speed_gpu: no framework sees a CUDA device; `xibench doctor` says what is missing")
    stored = measured(folder, cases(), "speed_gpu")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """By framework, network, precision and batch: our throughput, the contenders', and the ratios."""
    taken = Taken(records, calibration)
    cells = {" ".join(map(str, kind)): _cell(taken, *kind) for kind in KINDS}
    return {
        "cells": cells,
        "against_default": {
            "geometric_mean": mean(cell["against_default"] for cell in cells.values()),
        },
        "against_best": {
            "least": least(cell["against_best"] for cell in cells.values()),
            "geometric_mean": mean(cell["against_best"] for cell in cells.values()),
        },
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


def _cell(taken: Taken, framework: str, model: str, precision: str, batch: int) -> dict[str, Any]:
    ours, plain = (taken.find(framework, model, recipe, precision, batch) for recipe in ("tuned", "default"))
    return taken.cell(framework, model, precision, batch, alike=(plain,)) | {
        "ours_plain": taken.figures(plain),
        "against_plain": taken.ratio(ours, plain),
    }


CLAIM: Final = Claim(
    "speed_gpu",
    "On an NVIDIA GPU `tuned` is ahead of every public implementation in its framework, at batch 1 to 256.",
    (
        Target("against_default.geometric_mean", at_least=2.2),
        Target("against_best.least", at_least=1.0),
        Target("against_best.geometric_mean", at_least=1.25),
    ),
    measure,
    device=DEVICE,
)
