"""Presets, and the sampling of a run: the preset's, or that of its scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from frameworks.errors import UnknownName
from xibench.record.schema import SamplingConfig
from xibench.run.plan import Selection
from xibench.scenarios import find


@dataclass(frozen=True, slots=True)
class Preset:
    """Selections with a name, and the sampling with which they end in the time that the preset promises."""

    name: str
    purpose: str
    selections: tuple[Selection, ...]
    sampling: SamplingConfig


PRESETS: Final[Mapping[str, Preset]] = {
    "quick": Preset(
        "quick",
        "a newcomer's first five minutes: every framework and network at batch 8, default against tuned",
        (Selection(recipes=("default", "tuned")),),
        SamplingConfig(
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
        SamplingConfig(
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


def sampling_of(selections: Sequence[Selection]) -> SamplingConfig:
    """Return the sampling of a run without a preset: its scenario's; of several scenarios the longest in each field."""
    rules = [find(name).sampling for selection in selections for name in selection.scenarios]
    sampling = rules[0]
    for other in rules[1:]:
        sampling = msgspec.structs.replace(
            sampling,
            processes=max(sampling.processes, other.processes),
            max_steps=max(sampling.max_steps, other.max_steps),
            budget_s=max(sampling.budget_s, other.budget_s),
            half_width=None if None in (sampling.half_width, other.half_width) else sampling.half_width,
            time_limit_s=max(sampling.time_limit_s, other.time_limit_s),
        )
    return sampling


def swept(sampling: SamplingConfig, selections: Sequence[Selection]) -> SamplingConfig:
    """Return the sampling, marked as a sweep if a selection is one."""
    return msgspec.structs.replace(sampling, sweep=any(selection.sweep for selection in selections))


def without_budget(sampling: SamplingConfig) -> SamplingConfig:
    """Return the sampling of a preset that options have changed: its total budget is for the unchanged one."""
    return msgspec.structs.replace(sampling, total_budget_s=None)
