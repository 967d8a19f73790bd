"""The gain of each setting of `tuned`: an ablation that sets one choice at a time back to its default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims.claim import NOT_SHOWN, Claim, Figures, Target
from benches.claims.runs import MODELS, derived, measured, ratio, ratio_figures
from frameworks.api import FRAMEWORKS
from frameworks.recipes import Device
from xibench.record.schema import Calibration, Case, Record
from xibench.run import plan
from xibench.run.plan import Selection

BATCHES: Final = (8,)
AT_LEAST: Final = 0.98  # of the speed without a setting, below which the setting is said to cost some
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
    return figures(measured(folder, cases(), "claims recipes").records)


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
    """Count the settings by what their intervals show: no cost, a cost, neither, or nothing for want of an interval.

    A setting does not cost speed if the lower bound of its speedup is at least `AT_LEAST` (a test of non-inferiority);
    it does if the upper bound is below; otherwise the interval is too wide to tell.
    """
    bounds = [(gain["low"], gain["high"]) if gain else (None, None) for gain in gains]
    known = [(low, high) for low, high in bounds if low is not None and high is not None]
    holding, losing = sum(low >= AT_LEAST for low, _ in known), sum(high < AT_LEAST for _, high in known)
    return {
        "settings": len(bounds),
        "holding": holding,
        "losing": losing,
        "too_wide": len(known) - holding - losing,
        "unmeasured": len(bounds) - len(known),
    }


def _gains(framework: str, model: str, of: dict[Case, Record]) -> dict[str, Any]:
    mine = {case.recipe: record for case, record in of.items() if (case.framework, case.model) == (framework, model)}
    return {
        "tuned_over_default": ratio_figures(ratio(mine["tuned"], mine["default"])),
        "settings": {
            # A kept run does not have settings that `tuned` has got since: they are not measured.
            name: ratio_figures(ratio(mine["tuned"], mine[text])) if text in mine else None
            for name, text in without(framework, DEVICE).items()
        },
    }


CLAIM: Final = Claim(
    "recipes",
    f"No setting of `tuned` costs speed: with each, a step is at least {AT_LEAST} times as fast as without it.",
    (
        Target("losing", at_most=0),
        Target("too_wide", at_most=0, beyond=NOT_SHOWN),
        Target("unmeasured", at_most=0, beyond=NOT_SHOWN),
    ),
    measure,
    derive=lambda folder: derived(folder, figures),
)
