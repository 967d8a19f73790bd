"""Presets, and the sampling rule of a run: a preset's own, or that of its scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from frameworks.errors import UnknownName
from xibench.record.schema import Rule
from xibench.run.plan import Selection
from xibench.scenarios import find


@dataclass(frozen=True, slots=True)
class Preset:
    """Selections with a name and the rule that makes them end in the time that it promises."""

    name: str
    purpose: str
    selections: tuple[Selection, ...]
    rule: Rule


PRESETS: Final[Mapping[str, Preset]] = {
    "quick": Preset(
        "quick",
        "a newcomer's first five minutes: every framework and network at batch 8, default against tuned",
        (Selection(recipes=("default", "tuned")),),
        Rule(
            repeats=0, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3, max_steps=100,
            budget_s=3.0, time_limit_s=120.0, total_budget_s=240.0,
        ),
    ),
    "nightly": Preset(
        "nightly",
        "the regression job: inference at batch 1 and 8, default and tuned, fp32 and tuned bf16, 3 processes a case",
        (
            Selection(recipes=("default", "tuned"), batches=(1, 8)),
            Selection(recipes=("tuned",), precisions=("bf16",), batches=(1, 8)),
        ),
        Rule(
            processes=3, repeats=1, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3,
            max_steps=200, budget_s=4.0, time_limit_s=180.0,
        ),
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        UnknownName: no preset has this name; the message gives the nearest names.

    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]


def rule_of(selections: Sequence[Selection]) -> Rule:
    """Return the rule of a run without a preset: that of its scenario; of several the most patient in each respect."""
    rules = [find(name).sampling for selection in selections for name in selection.scenarios]
    rule = rules[0]
    for other in rules[1:]:
        rule = msgspec.structs.replace(
            rule,
            processes=max(rule.processes, other.processes),
            max_steps=max(rule.max_steps, other.max_steps),
            budget_s=max(rule.budget_s, other.budget_s),
            half_width=None if None in (rule.half_width, other.half_width) else rule.half_width,
            time_limit_s=max(rule.time_limit_s, other.time_limit_s),
        )
    return rule


def swept(rule: Rule, selections: Sequence[Selection]) -> Rule:
    """Return the rule, with the mark of a sweep if a selection is one."""
    return msgspec.structs.replace(rule, sweep=any(selection.sweep for selection in selections))


def without_budget(rule: Rule) -> Rule:
    """Return the rule of a preset whose parts were replaced: its total budget was made for the preset as it stands."""
    return msgspec.structs.replace(rule, total_budget_s=None)
