"""How fast `tuned` is: against every contender in its framework, against the plain recipe, against the ceilings.

All cases are interleaved in one run, whose file is kept; an interrupted measurement goes on with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims import rivals
from benches.claims.claim import Claim, Figures, Target
from benches.claims.rivals import Taken, least, mean, most
from benches.claims.runs import MODELS, measured
from frameworks.api import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.record.summary import Summary
from xibench.run.plan import Selection

BATCH: Final = 8


def cases() -> tuple[Case, ...]:
    """Ours, plain and tuned, in fp32 and tuned in bf16; every contender by each of its recipes in fp32."""
    ours = (
        Selection(models=MODELS, recipes=("default", "tuned")),
        Selection(models=MODELS, recipes=("tuned",), precisions=("bf16",)),
    )
    return rivals.cases((BATCH,), ours)


def measure(folder: Path) -> Figures:
    """The run, then its ratios."""
    stored = measured(folder, cases(), "speed")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """By framework and network: our throughput, the contenders', and the ratios. Above 1, ours is faster."""
    taken = Taken(records, calibration)
    cells = {
        f"{framework} {model}": _cell(framework, model, taken)
        for framework, model in itertools.product(FRAMEWORKS, MODELS)
    }
    return {
        "batch": BATCH,
        "cells": cells,
        "against_default": {
            "least_but_inception_v3_in_tensorflow": least(
                cell["against_default"] for name, cell in cells.items() if name != "tensorflow inception_v3"
            ),
            "inception_v3_in_tensorflow": cells["tensorflow inception_v3"]["against_default"],
            "xception_in_jax": cells["jax xception"]["against_default"],
            "geometric_mean": mean(cell["against_default"] for cell in cells.values()),
        },
        "against_best": {
            "least": least(cell["against_best"] for cell in cells.values()),
            "geometric_mean": mean(cell["against_best"] for cell in cells.values()),
        },
        "attained": {
            model: most(cells[f"{framework} {model}"]["ours"]["attained"] for framework in FRAMEWORKS)
            for model in MODELS
        },
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


def _cell(framework: str, model: str, taken: Taken) -> dict[str, Any]:
    ours, plain = taken.find(framework, model, "tuned"), taken.find(framework, model, "default")
    half = taken.find(framework, model, "tuned", "bf16")
    return taken.cell(framework, model, alike=(plain,)) | {
        "ours_plain": taken.figures(plain),
        "ours_bf16": taken.figures(half),
        "against_plain": taken.ratio(ours, plain),
        "bf16_over_fp32": taken.ratio(half, ours),
        "pays_after_images": _pays(taken.summaries[ours], taken.summaries[plain]),
    }


def _pays(tuned: Summary, plain: Summary) -> float | None:
    """The number of images after which the longer start of `tuned` has paid; 0 where it starts no later."""
    starts = tuned.until_first_result_s, plain.until_first_result_s
    if not (tuned.step_s and plain.step_s and starts[0] is not None and starts[1] is not None):
        return None
    gained = (plain.step_s.median - tuned.step_s.median) / tuned.case.batch
    return max(0.0, (starts[0] - starts[1]) / gained) if gained > 0 else None


CLAIM: Final = Claim(
    "speed",
    "`tuned` is ahead of every public implementation in its framework, and close to what the device can do.",
    (
        Target("against_default.least_but_inception_v3_in_tensorflow", at_least=1.5),
        Target("against_default.inception_v3_in_tensorflow", at_least=1.15),
        Target("against_default.xception_in_jax", at_least=4.5),
        Target("against_default.geometric_mean", at_least=2.2),
        Target("against_best.least", at_least=1.0),
        Target("against_best.geometric_mean", at_least=1.25),
        Target("attained.inception_v3", at_least=0.70),
        Target("attained.xception", at_least=0.55),
    ),
    measure,
)
