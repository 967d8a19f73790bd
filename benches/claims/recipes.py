"""What each setting of `tuned` is worth: the recipe with all of them against the recipe without that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims.claim import Claim, Figures, Target
from benches.claims.runs import MODELS, measured, ratio, told
from frameworks.api import FRAMEWORKS
from xibench.record.schema import Calibration, Case, Record
from xibench.run import plan
from xibench.run.plan import Selection

BATCHES: Final = (8,)
DEVICE: Final = "cpu"


def without(framework: str, device: str) -> dict[str, str]:
    """Each choice of `tuned` that is not the plain one -> the recipe in which that one alone is plain."""
    known = FRAMEWORKS[framework].choices
    chosen = FRAMEWORKS[framework].recipe("tuned", device).choices
    return {
        name: f"tuned+{name}={known[name].default}" for name, value in chosen.items() if value != known[name].default
    }  # fmt: skip


def cases() -> tuple[Case, ...]:
    """`default`, `tuned`, and `tuned` without each of its settings, in every framework and network."""
    return plan.all_cases([
        Selection(
            frameworks=(framework,), models=MODELS, batches=BATCHES,
            recipes=("default", "tuned", *without(framework, DEVICE).values()), device=DEVICE,
        )
        for framework in FRAMEWORKS
    ])  # fmt: skip


def measure(folder: Path) -> Figures:
    """The run, then its ratios."""
    return figures(measured(folder, cases(), "recipes").records)


def figures(records: Sequence[Record], calibration: Calibration | None = None) -> Figures:
    """Per framework and network what leaving a setting out costs. calibration: of no account."""
    of = {record.case: record for record in records}
    gains = {
        f"{framework} {model}": _gains(framework, model, of) for framework in FRAMEWORKS for model in MODELS
    }  # fmt: skip
    return {"gains": gains, **counts([gain for cell in gains.values() for gain in cell["settings"].values()])}


def counts(gains: Sequence[Mapping[str, float | None] | None]) -> Figures:
    """How many settings there are, how many cost speed for certain, and of how many nothing is known."""
    highs = [None if gain is None else gain["high"] for gain in gains]
    return {
        "settings": len(highs),
        "losing": sum(high is not None and high < 1 for high in highs),
        "unmeasured": sum(high is None for high in highs),
    }


def _gains(framework: str, model: str, of: dict[Case, Record]) -> dict[str, Any]:
    mine = {case.recipe: record for case, record in of.items() if (case.framework, case.model) == (framework, model)}
    return {
        "tuned_over_default": told(ratio(mine["tuned"], mine["default"])),
        "settings": {
            name: told(ratio(mine["tuned"], mine[text])) for name, text in without(framework, DEVICE).items()
        },
    }


CLAIM: Final = Claim(
    "recipes",
    "No setting of `tuned` costs speed.",
    (Target("losing", at_most=0), Target("unmeasured", at_most=0)),
    measure,
)
