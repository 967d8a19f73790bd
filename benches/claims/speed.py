"""Throughput of `tuned`, compared with third-party implementations, with recipe `default` and with the roofline.

All cases are interleaved in one run, whose file is stored; an interrupted measurement resumes from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims import baselines
from benches.claims.baselines import RunFigures, geometric_mean, max_known, min_known
from benches.claims.claim import Claim, Figures, Target
from benches.claims.runs import MODELS, derived, measured
from frameworks.api import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.record.summary import Summary
from xibench.run.plan import Selection

BATCH: Final = 8


def cases() -> tuple[Case, ...]:
    """Plan `default` and `tuned` in fp32, `tuned` in bf16, and every third-party recipe in fp32."""
    ours = (
        Selection(models=MODELS, recipes=("default", "tuned")),
        Selection(models=MODELS, recipes=("tuned",), precisions=("bf16",)),
    )
    return baselines.cases((BATCH,), ours)


def measure(folder: Path) -> Figures:
    """Measure the run and return its figures."""
    stored = measured(folder, cases(), "claims speed")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """Return our throughput, that of the baselines and our speedup over them, by framework and network."""
    run_figures = RunFigures(records, calibration)
    cells = {
        f"{framework} {model}": _cell(framework, model, run_figures)
        for framework, model in itertools.product(FRAMEWORKS, MODELS)
    }
    return {
        "batch": BATCH,
        "cells": cells,
        "against_default": {
            "min": min_known(cell["against_default"] for cell in cells.values()),
            "geometric_mean": geometric_mean(cell["against_default"] for cell in cells.values()),
        },
        "against_best": baselines.against_best(cells.values()),
        "not_measured": run_figures.not_measured,
        "third_party_not_measured": len(run_figures.not_measured),
        "attained": {
            model: max_known(cells[f"{framework} {model}"]["ours"]["attained"] for framework in FRAMEWORKS)
            for model in MODELS
        },
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


def _cell(framework: str, model: str, run_figures: RunFigures) -> dict[str, Any]:
    ours, default = run_figures.find(framework, model, "tuned"), run_figures.find(framework, model, "default")
    bf16 = run_figures.find(framework, model, "tuned", "bf16")
    return run_figures.cell(framework, model, alike=(default,)) | {
        "ours_plain": run_figures.figures(default),
        "ours_bf16": run_figures.figures(bf16),
        "against_plain": run_figures.ratio(ours, default),
        "bf16_over_fp32": run_figures.ratio(bf16, ours),
        "pays_after_images": _break_even_images(run_figures.summaries[ours], run_figures.summaries[default]),
    }


def _break_even_images(tuned: Summary, default: Summary) -> float | None:
    """Return the number of images after which the faster steps of `tuned` make up for its longer start.

    It is 0 if `tuned` does not start more slowly, and None if its steps are not faster or a time is unknown.
    """
    starts = tuned.until_first_result_s, default.until_first_result_s
    if not (tuned.step_s and default.step_s and starts[0] is not None and starts[1] is not None):
        return None
    gained = (default.step_s.median - tuned.step_s.median) / tuned.case.batch
    return max(0.0, (starts[0] - starts[1]) / gained) if gained > 0 else None


CLAIM: Final = Claim(
    "speed",
    "`tuned` is ahead of every public implementation in its framework, and close to what the device can do.",
    (
        Target("against_default.geometric_mean", at_least=2.2),
        *baselines.AHEAD_OF_ALL,
        Target("attained.inception_v3", at_least=0.70),
        Target("attained.xception", at_least=0.55),
    ),
    measure,
    derive=lambda folder: derived(folder, figures),
)
