"""How long a plan takes, before anything is measured: from earlier runs on this machine, else from what steps cost."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from frameworks.recipes import Device
from xibench.errors import XibenchError
from xibench.record.schema import Case, Environment, SamplingConfig
from xibench.record.store import newest_first, read
from xibench.run.ceilings import costs

START_S: Final = 6.0
"""What a process takes besides its warm-up and timed steps: the median of 450 processes in results/reference."""
FLOPS_PER_S: Final[dict[Device, float]] = {"cpu": 7e10, "cuda": 1e13}
"""Assumed rate of a step, on a CPU for each core: the median of the same processes, whose first and last decile are
1.9e10 and 1.7e11. The rate on a GPU is a guess, because no run on a GPU has been recorded."""
EARLIER_RUNS: Final = 5
"""Number of run files that are looked at, the newest first."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """How long a plan may take."""

    seconds: float
    known_cases: int  # cases whose time is that of an earlier run on this machine
    cases: int


def estimate(cases: Sequence[Case], sampling: SamplingConfig, here: Environment, earlier: Path) -> Estimate:
    """Estimate the wall time of a plan.

    Args:
        cases: The plan.
        sampling: How long and how often each case is measured.
        here: This machine.
        earlier: Folder of run files; those of this machine say how long a process of a case took.
    """
    known_s = _known_s(here.machine, earlier)
    seconds = 0.0
    for case in cases:
        each_s = known_s.get(case.key) or process_s(case, sampling, here.cores_usable)
        seconds += sampling.processes * each_s
    if sampling.total_budget_s is not None:
        seconds = min(seconds, sampling.total_budget_s)
    return Estimate(seconds=seconds, known_cases=sum(case.key in known_s for case in cases), cases=len(cases))


def _known_s(machine: str, earlier: Path) -> dict[str, float]:
    """Return the median wall time of a process by case, from the newest run file of this machine that has the case."""
    known: dict[str, float] = {}
    for path in itertools.islice(newest_first(earlier), EARLIER_RUNS):
        try:
            run = read(path)
        except XibenchError:
            continue
        if run.header.environment.machine != machine:
            continue
        for record in run.records:
            walls_s = [attempt.surroundings.wall_s for attempt in record.attempts if attempt.surroundings]
            if walls_s:
                known.setdefault(record.case.key, statistics.median(walls_s))
    return known


def process_s(case: Case, sampling: SamplingConfig, cores: int) -> float:
    """Return the assumed wall time of a process: its start, warm-up, and as many steps as its limits allow.

    Args:
        case: Its case.
        sampling: How long it is measured.
        cores: Number of usable cores.
    """
    rate = FLOPS_PER_S[case.device] * (cores if case.device == "cpu" else 1)
    step_s = 2 * costs(case).macs / rate
    warmup_s = min(sampling.warmup_budget_s, sampling.max_warmup_steps * step_s)
    timed_s = max(sampling.min_steps * step_s, min(sampling.budget_s, sampling.max_steps * step_s))
    return min(START_S + step_s + warmup_s + timed_s, sampling.time_limit_s)
