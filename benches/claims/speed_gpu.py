"""The claim `speed` on an NVIDIA GPU: fp32 and bf16, from batch 1 to a batch that fills the GPU.

It has not been measured yet, but written and tested without a GPU. A GPU may be at hand for minutes only, so each block
of cases (a precision and a batch) is a run of its own, and the blocks are measured in the order of their value. Besides
the answer to the whole claim, each framework has one per block, so that a part of it can be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benches.claims import baselines
from benches.claims.baselines import RunFigures, geometric_mean
from benches.claims.claim import NOT_SHOWN, Claim, Figures, Target, overall
from benches.claims.runs import MODELS, measured
from frameworks.api import FRAMEWORKS, THIRD_PARTY
from xibench.errors import UsageError
from xibench.record.schema import Case
from xibench.record.store import Run, read
from xibench.run.plan import Selection, resolve_device

Block = tuple[str, int]
"""A precision and a batch."""

DEVICE: Final = "cuda"
BLOCKS: Final[tuple[Block, ...]] = (
    ("bf16", 256), ("fp32", 256), ("bf16", 1), ("fp32", 1), ("bf16", 64), ("fp32", 64), ("bf16", 8), ("fp32", 8),
)  # fmt: skip
AHEAD: Final = (Target("against_default.geometric_mean", at_least=2.2), *baselines.AHEAD_OF_ALL)


def cases(block: Block) -> tuple[Case, ...]:
    """Plan `default`, `tuned` and every third-party recipe, at a precision and batch."""
    precision, batch = block
    ours = Selection(models=MODELS, recipes=("default", "tuned"), precisions=(precision,))
    return baselines.cases((batch,), (ours,), (precision,), DEVICE)


def measure(folder: Path) -> Figures:
    """Measure the blocks, or what their run files in the folder do not contain yet, and return the figures.

    Args:
        folder: Folder of the run files.

    Raises:
        UsageError: No framework sees a GPU.
    """
    if resolve_device(tuple(FRAMEWORKS), "auto") != DEVICE:
        raise UsageError("claim speed_gpu: no framework sees a CUDA device; `xibench doctor` lists what is missing")
    for block in BLOCKS:
        measured(folder, cases(block), "claims speed_gpu", file_name(block))
    return derive(folder)


def file_name(block: Block) -> str:
    """Return the name of a block's run file."""
    return f"run-{block[0]}-{block[1]}.jsonl"


def derive(folder: Path) -> Figures:
    """Return the figures of the run files in a folder, without measuring anything."""
    paths = {block: folder / file_name(block) for block in BLOCKS}
    return figures({block: read(path) for block, path in paths.items() if path.exists()})


def figures(runs: Mapping[Block, Run]) -> Figures:
    """Return our throughput, that of the baselines and our speedup, by framework, network, precision and batch.

    Args:
        runs: The run of each block that has been measured, at least in part.
    """
    cells: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, Any]] = {}
    for (precision, batch), run in runs.items():
        run_figures = RunFigures(run.records, run.calibration)
        for framework in FRAMEWORKS:
            found = {f"{framework} {m} {precision} {batch}": _cell(run_figures, framework, m) for m in MODELS}
            theirs = (name for name, known in THIRD_PARTY.items() if known.backend == framework)
            missing = {name: run_figures.not_measured[name] for name in theirs if name in run_figures.not_measured}
            cells |= found
            parts[f"{framework} {precision} {batch}"] = _part(found, missing)
    missing = {name: why for part in parts.values() for name, why in part["not_measured"].items()}
    whole = _part(cells, missing) if cells else {}
    return {
        "cells": cells, "parts": parts, **whole,
        "blocks_not_measured": len(BLOCKS) - len(runs),
        "outputs_agree": all(cell["outputs_agree"] for cell in cells.values()),
    }  # fmt: skip


def _part(cells: Mapping[str, Mapping[str, Any]], not_measured: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "against_default": {"geometric_mean": geometric_mean(cell["against_default"] for cell in cells.values())},
        "against_best": baselines.against_best(cells.values()),
        "not_measured": dict(not_measured),
        "third_party_not_measured": len(not_measured),
    }
    return found | {"answer": overall(replace(CLAIM, targets=AHEAD).verdicts(found))}


def _cell(run_figures: RunFigures, framework: str, model: str) -> dict[str, Any]:
    ours, default = (
        next(c for c in run_figures.records if (c.framework, c.model, c.recipe) == (framework, model, recipe))
        for recipe in ("tuned", "default")
    )
    return run_figures.cell(framework, model, ours.precision, alike=(default,)) | {
        "ours_plain": run_figures.figures(default),
        "against_plain": run_figures.ratio(ours, default),
    }


CLAIM: Final = Claim(
    "speed_gpu",
    "On an NVIDIA GPU `tuned` is ahead of every public implementation in its framework, at batch 1 to 256.",
    (*AHEAD, Target("blocks_not_measured", at_most=0, beyond=NOT_SHOWN)),
    measure,
    device=DEVICE,
    derive=derive,
)
