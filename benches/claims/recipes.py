"""The gain of each setting of `tuned`: an ablation that sets one choice at a time back to its default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims.claim import Claim, Figures, Target
from benches.claims.runs import MODELS, measured, ratio, ratio_figures
from frameworks.api import FRAMEWORKS
from frameworks.recipes import Device
from xibench.record.schema import Calibration, Case, Record
from xibench.run import plan
from xibench.run.plan import Selection

BATCHES: Final = (8,)
DEVICE: Final = "cpu"


def without(framework: str, device: Device) -> dict[str, str]:
    """Return the ablations of `tuned`: choice -> recipe in which only that choice is set back to its default.

    Args:
        framework: Name of the framework.
        device: Device for which `tuned` is resolved.
    """
    known = FRAMEWORKS[framework].choices
    chosen = FRAMEWORKS[framework].recipe("tuned", device).choices
    return {
        name: f"tuned+{name}={known[name].default}" for name, value in chosen.items() if value != known[name].default
    }  # fmt: skip


def cases() -> tuple[Case, ...]:
    """Plan `default`, `tuned`, and `tuned` without each of its settings, for every framework and network."""
    return plan.cases(*[
        Selection(
            frameworks=(framework,), models=MODELS, batches=BATCHES,
            recipes=("default", "tuned", *without(framework, DEVICE).values()), device=DEVICE,
        )
        for framework in FRAMEWORKS
    ])  # fmt: skip


def measure(folder: Path) -> Figures:
    """Measure the run and return its figures."""
    return figures(measured(folder, cases(), "recipes").records)


def figures(records: Sequence[Record], calibration: Calibration | None = None) -> Figures:
    """Return the speedup of `tuned` over each of its ablations, by framework and network.

    Args:
        records: Records of the run.
        calibration: Ignored; other claims have it.
    """
    of = {record.case: record for record in records}
    gains = {
        f"{framework} {model}": _gains(framework, model, of) for framework in FRAMEWORKS for model in MODELS
    }  # fmt: skip
    return {"gains": gains, **counts([gain for cell in gains.values() for gain in cell["settings"].values()])}


def counts(gains: Sequence[Mapping[str, float | None] | None]) -> Figures:
    """Count the settings, those that cost speed (the whole interval is below 1), and those that were not measured."""
    highs = [None if gain is None else gain["high"] for gain in gains]
    return {
        "settings": len(highs),
        "losing": sum(high is not None and high < 1 for high in highs),
        "unmeasured": sum(high is None for high in highs),
    }


def _gains(framework: str, model: str, of: dict[Case, Record]) -> dict[str, Any]:
    mine = {case.recipe: record for case, record in of.items() if (case.framework, case.model) == (framework, model)}
    return {
        "tuned_over_default": ratio_figures(ratio(mine["tuned"], mine["default"])),
        "settings": {
            name: ratio_figures(ratio(mine["tuned"], mine[text]))
            for name, text in without(framework, DEVICE).items()
            if text in mine  # a kept run does not have settings that `tuned` has got since
        },
    }


CLAIM: Final = Claim(
    "recipes",
    "No setting of `tuned` costs speed.",
    (Target("losing", at_most=0), Target("unmeasured", at_most=0)),
    measure,
)
