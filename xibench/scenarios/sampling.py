"""When the warm-up and the timed steps of a process end: by the run's rule, its total budget, or the time limit.

The worker ends the sampling itself before the parent would kill it: what was measured until then is kept, and
`stopped_by` says `time_limit_s`. A run with a total budget gives each process a share of it; `stopped_by` then says
`total_budget_s`, if neither another limit nor the precision of the median ended the sampling before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xibench.measure.stopping import AnyOf, Limits, StoppingRule, rule_of
from xibench.measure.warmup import Warmup, WarmupLimits

if TYPE_CHECKING:
    from xibench.record.schema import SamplingConfig
    from xibench.scenarios.prepared import PreparedCase

LIMIT_SHARE: Final = 0.85
"""Share of a worker's time limit after which it takes no further step: the rest is for its start, answer and end."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Moments on the worker's clock, in seconds, by which sampling is to end.

    Attributes:
        limit_s: the worker's time limit is near: the step that would pass it is not taken.
        budget_s: the process has used its share of the run's total budget: no step is taken beyond the minimum
            numbers that the rule asks for. None where the run has no total budget.

    """

    limit_s: float
    budget_s: float | None = None

    @classmethod
    def after(cls, started_s: float, sampling: SamplingConfig, share_s: float | None) -> Deadlines:
        """Return the deadlines of a worker that started at `started_s` with `share_s` seconds of the run's budget."""
        budget_s = None if share_s is None else started_s + share_s
        return cls(started_s + LIMIT_SHARE * sampling.time_limit_s, budget_s)


class EndsBy:
    """A stopping rule: finished once a step as long as the last one would end after a moment.

    share: of the time from the first step's start until that moment; the rest is left for what comes after.
    """

    def __init__(self, moment_s: float, reason: str, share: float = 1.0) -> None:
        self._moment_s = self._ends_s = moment_s
        self._reason = reason
        self._share = share
        self._last_s = 0.0

    def begin(self, now_s: float) -> None:
        """Start the time that the share is taken of."""
        self._ends_s = now_s + self._share * (self._moment_s - now_s)
        self._last_s = 0.0

    def add(self, step_s: float) -> None:
        """Keep the step's length: the next one is expected to take as long."""
        self._last_s = step_s

    def finished(self, now_s: float) -> str | None:
        """Return the reason, once there is no time for another step."""
        return self._reason if now_s + self._last_s > self._ends_s else None


def warmup_rule(prepared: PreparedCase) -> StoppingRule:
    """Return what ends the warm-up: no trend in the discarded steps, a limit of the rule, or a deadline."""
    sampling, deadlines = prepared.sampling, prepared.deadlines
    rules: list[StoppingRule] = [
        Warmup(WarmupLimits(sampling.warmup_steps, sampling.max_warmup_steps, sampling.warmup_budget_s))
    ]
    if deadlines.budget_s is not None:
        share = sampling.warmup_budget_s / (sampling.warmup_budget_s + sampling.budget_s)
        rules.append(AnyOf([EndsBy(deadlines.budget_s, _budget(sampling), share)], min_steps=sampling.warmup_steps))
    rules.append(EndsBy(deadlines.limit_s, _limit(sampling)))
    return AnyOf(rules, min_steps=0)


def stopping_rule(prepared: PreparedCase, half_width: float | None) -> StoppingRule:
    """Return what ends the timed steps; at least one is taken.

    Args:
        prepared: the case, with its rule and its deadlines.
        half_width: as `xibench.measure.stopping.Limits` has it. None for queries: percentiles take a number of samples
            however well the median is known.

    """
    sampling, deadlines = prepared.sampling, prepared.deadlines
    rules: list[StoppingRule] = [rule_of(Limits(sampling.min_steps, sampling.max_steps, sampling.budget_s, half_width))]
    if deadlines.budget_s is not None:
        rules.append(AnyOf([EndsBy(deadlines.budget_s, _budget(sampling))], min_steps=sampling.min_steps))
    rules.append(EndsBy(deadlines.limit_s, _limit(sampling)))
    return AnyOf(rules)


def _budget(sampling: SamplingConfig) -> str:
    return f"total_budget_s {sampling.total_budget_s}"


def _limit(sampling: SamplingConfig) -> str:
    return f"time_limit_s {sampling.time_limit_s}"
