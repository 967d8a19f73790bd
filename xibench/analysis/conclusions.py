"""What can be concluded from a run: for each group of comparable cases, which is best, and whether that is certain."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from xibench.record.metrics import HIGHEST_RATE_HZ, METRICS, Metric
from xibench.record.ranking import Lead, Ranking, lead, processes_needed, rank
from xibench.scenarios import described

if TYPE_CHECKING:
    from xibench.record.schema import Case
    from xibench.record.store import Run
    from xibench.record.summary import Summary

FIRST_RESULT: Final = Metric(
    name="until_first_result_s", unit="s", better="lower", kind="interval", heading="time of compiling and first step",
    of=lambda case: case.over_processes((p.compile_s or 0.0) + p.first_step_s for p in case.processes),
)  # fmt: skip
"""What scenario compile is ranked by: some frameworks compile ahead of the first step, others in it."""
REPEATABLE: Final = (["xibench", "run"], ["xibench", "spectrum"])  # commands that take --processes
NOT_REPEATED: Final = ("--processes", "--out", "--resume")  # options of a command that a repetition leaves out


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one group of cases shows that differ in nothing but framework and recipe.

    Attributes:
        case: Any case of the group.
        ranking: The cases, ranked by the first headline figure of their scenario.
        lead: How far the first is ahead of the second; None if fewer than two cases are ranked.
        processes_needed: Processes per case that would decide what is not certain; None if nothing is left to decide,
            or more than `ranking.MAX_PROCESSES` would be needed.
        incomparable: Why the figures cannot be compared at all; None if they can.
    """

    case: Case
    ranking: Ranking
    lead: Lead | None
    processes_needed: int | None
    incomparable: str | None


def conclusions(summaries: Sequence[Summary]) -> list[Conclusion]:
    """Return a conclusion for each group of at least two comparable cases, in the order of the run."""
    groups: dict[tuple[Case, str], list[Summary]] = {}
    for summary in summaries:
        alike = msgspec.structs.replace(summary.case, framework="", recipe="")
        groups.setdefault((alike, summary.environment), []).append(summary)
    found = [_conclusion(group) for group in groups.values() if len(group) > 1]
    return [conclusion for conclusion in found if conclusion is not None]


def _conclusion(group: Sequence[Summary]) -> Conclusion | None:
    case = group[0].case
    headline = described(case.scenario).headline[0]
    metric = FIRST_RESULT if headline == "compile_s" else METRICS.get(headline)
    if metric is None or metric.better is None:
        return None
    ranking, incomparable = rank(group, metric), None
    if metric is HIGHEST_RATE_HZ and case.latency_bound_s is None:
        incomparable = "each process had a latency bound of its own; `--latency-bound` sets one for all"
    if len(ranking.order) < 2 or incomparable:
        return Conclusion(case, ranking, None, None, incomparable)
    best, second = ranking.order[:2]
    needed = [processes_needed(best, other, metric) for other in ranking.undecided]
    most = None if None in needed else max((n for n in needed if n is not None), default=None)
    return Conclusion(case, ranking, lead(best, second, metric), most, None)


def repetition(run: Run, processes: int) -> tuple[str | None, float | None]:
    """Return how to measure a run's cases in so many processes each.

    Returns:
        The command, None if that of the run takes no number of processes; and an estimate of its duration in s from the
        wall times of the run's processes, None if they are not recorded.
    """
    words = shlex.split(run.header.command)
    command = None
    if words[:2] in REPEATABLE and "--resume" not in words:
        kept = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if before not in NOT_REPEATED and word.partition("=")[0] not in (*NOT_REPEATED, "--json")
        ]
        command = shlex.join([*kept, "--processes", str(processes)])
    took: dict[Case, list[float]] = {}
    for attempt in run.attempts:
        if attempt.surroundings and attempt.process:
            took.setdefault(attempt.case, []).append(attempt.surroundings.wall_s)
    if not took:
        return command, None
    estimate = processes * sum(sum(walls) / len(walls) for walls in took.values())
    budget_s = run.header.sampling.total_budget_s
    return command, estimate if budget_s is None else min(estimate, budget_s)


def document(found: Sequence[Conclusion]) -> list[dict[str, Any]]:
    """Return the conclusions as `show --json` has them."""
    return [
        {
            **{axis: getattr(one.case, axis) for axis in AXES},
            "metric": one.ranking.metric.name,
            "best": _named(one.ranking.order[0]) if one.ranking.certain and not one.incomparable else None,
            "order": [_named(summary) for summary in one.ranking.order],
            "lead": one.lead,
            "undecided": [_named(summary) for summary in one.ranking.undecided],
            "not_ranked": [_named(summary) | {"reason": reason} for summary, reason in one.ranking.left_out],
            "processes_needed": one.processes_needed,
            "incomparable": one.incomparable,
        }
        for one in found
    ]


AXES: Final = ("model", "variant", "task", "scenario", "precision", "batch", "resolution", "device")


def _named(summary: Summary) -> dict[str, str]:
    return {"framework": summary.case.framework, "recipe": summary.case.recipe}
