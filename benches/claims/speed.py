"""How fast `tuned` is: against every contender in its framework, against the plain recipe, against the ceilings.

All cases are interleaved in one run, whose file is kept; an interrupted measurement goes on with it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benches.claims.claim import Claim, Figures, Target
from benches.claims.runs import MODELS, RULE, measured, ratio, told
from frameworks.contenders import CONTENDERS
from frameworks.runtime import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.record.summary import Summary, summarise
from xibench.run import plan
from xibench.run.plan import Selection

BATCHES = (8, 1)
AGREE = 1e-3  # of the outputs' mean: the networks that are compared are the same


def cases() -> tuple[Case, ...]:
    """Ours, plain and tuned, in fp32 and tuned in bf16; every contender by each of its recipes in fp32."""
    of = Selection(models=MODELS, batches=BATCHES)
    ours = (
        replace(of, recipes=("default", "tuned")),
        replace(of, recipes=("tuned",), precisions=("bf16",)),
    )
    theirs = (replace(of, frameworks=(n,), recipes=c.recipes) for n, c in CONTENDERS.items())
    return plan.all_cases((*ours, *theirs))


def measure(folder: Path) -> Figures:
    """The run, then its ratios."""
    stored = measured(folder, cases(), "speed")
    return figures(stored.records, stored.calibration)


def figures(records: Sequence[Record], calibration: Calibration | None) -> Figures:
    """By framework, network and batch: our throughput, the contenders', and the ratios. Above 1, ours is faster."""
    of = {record.case: record for record in records}
    summaries = {case: summarise(record, calibration) for case, record in of.items()}
    cells = {
        f"{framework} {model} batch {batch}": _cell(framework, model, batch, of, summaries)
        for framework, model, batch in itertools.product(FRAMEWORKS, MODELS, BATCHES)
    }
    large = {name: cell for name, cell in cells.items() if name.endswith("batch 8")}
    alone = [cell for name, cell in cells.items() if name.endswith("batch 1")]
    return {
        "processes": RULE.processes,
        "cells": cells,
        "against_default": {
            "least_but_inception_v3_in_tensorflow": _least(
                cell["against_default"] for name, cell in large.items() if not name.startswith("tensorflow inception")
            ),
            "inception_v3_in_tensorflow": large["tensorflow inception_v3 batch 8"]["against_default"],
            "xception_in_jax": large["jax xception batch 8"]["against_default"],
            "geometric_mean": _mean(cell["against_default"] for cell in large.values()),
        },
        "against_best": {
            "least": _least(cell["against_best"] for cell in large.values()),
            "geometric_mean": _mean(cell["against_best"] for cell in large.values()),
        },
        "one_image_against_best": {"least": _least(cell["against_best"] for cell in alone)},
        "attained": {
            model: _most(cell["ours"]["attained"] for name, cell in large.items() if model in name)
            for model in MODELS
        },
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }


def _cell(
    framework: str, model: str, batch: int, of: Mapping[Case, Record], summaries: Mapping[Case, Summary]
) -> dict[str, Any]:
    def find(name: str, recipe: str, precision: str = "fp32") -> Case:
        return next(
            c for c in of
            if (c.framework, c.model, c.batch, c.recipe, c.precision) == (name, model, batch, recipe, precision)
        )  # fmt: skip

    ours, plain, half = find(framework, "tuned"), find(framework, "default"), find(framework, "tuned", "bf16")
    rivals = {
        (name, recipe): find(name, recipe)
        for name, contender in CONTENDERS.items() if contender.framework == framework
        for recipe in contender.recipes
    }  # fmt: skip
    against = {key: ratio(of[ours], of[case]) for key, case in rivals.items()}
    alike = [c for c in (ours, plain, *rivals.values()) if of[c].processes and not summaries[c].substitutions]
    means = [of[case].processes[0].output_mean for case in alike]
    return {
        "ours": _figures(summaries[ours]),
        "ours_plain": _figures(summaries[plain]),
        "ours_bf16": _figures(summaries[half]),
        "contenders": {f"{name} {recipe}": _figures(summaries[case]) for (name, recipe), case in rivals.items()},
        "against": {f"{name} {recipe}": told(found) for (name, recipe), found in against.items()},
        "against_default": _least(r.ratio for (_, recipe), r in against.items() if r and recipe == "default"),
        "against_best": _least(r.ratio for r in against.values() if r),
        "against_plain": told(ratio(of[ours], of[plain])),
        "bf16_over_fp32": told(ratio(of[half], of[ours])),
        "pays_after_images": _pays(summaries[ours], summaries[plain]),
        "outputs_agree": max(means) - min(means) <= AGREE * max(map(abs, means)) if means else False,
    }


def _figures(summary: Summary) -> dict[str, Any]:
    rate = summary.images_per_s
    return {
        "status": summary.status,
        "reason": summary.reason,
        "images_per_s": rate and {"median": rate.median, "low": rate.low, "high": rate.high},
        "attained": summary.attained,
        "start_s": _start_s(summary),
        "substitutions": [f"{s.ran} instead of {s.wanted}: {s.why}" for s in summary.substitutions],
    }


def _start_s(summary: Summary) -> float | None:
    """Compiling, if ahead, and the first step."""
    parts = [part.median for part in (summary.compile_s, summary.first_step_s) if part]
    return sum(parts) if parts else None


def _pays(tuned: Summary, plain: Summary) -> float | None:
    """The number of images after which the longer start of `tuned` has paid; 0 where it starts no later."""
    starts = _start_s(tuned), _start_s(plain)
    if not (tuned.step_s and plain.step_s and starts[0] is not None and starts[1] is not None):
        return None
    gained = (plain.step_s.median - tuned.step_s.median) / tuned.case.batch
    return max(0.0, (starts[0] - starts[1]) / gained) if gained > 0 else None


def _least(values: Iterator[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _most(values: Iterator[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Iterator[float | None]) -> float | None:
    """Geometric; None if any is missing: a mean of fewer cells is another figure."""
    found = list(values)
    return None if None in found else math.exp(sum(math.log(v) for v in found if v) / len(found))


CLAIM = Claim(
    "speed",
    "`tuned` is ahead of every public implementation in its framework, and close to what the device can do.",
    (
        Target("against_default.least_but_inception_v3_in_tensorflow", at_least=1.5),
        Target("against_default.inception_v3_in_tensorflow", at_least=1.15),
        Target("against_default.xception_in_jax", at_least=4.5),
        Target("against_default.geometric_mean", at_least=2.2),
        Target("against_best.least", at_least=1.0),
        Target("against_best.geometric_mean", at_least=1.25),
        Target("one_image_against_best.least", at_least=1.0),
        Target("attained.inception_v3", at_least=0.70),
        Target("attained.xception", at_least=0.55),
    ),
    measure,
)
