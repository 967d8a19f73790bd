"""Measure ceilings and idle power before the first case: one worker per framework, then a window of idleness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, get_args

from frameworks.api import framework_of
from frameworks.recipes import Precision
from xibench.record.schema import Calibration, Case, Copy, Matmul
from xibench.run.monitor import ConditionMonitor
from xibench.workers import session
from xibench.workers.messages import Ceilings, MeasureCeilings
from xibench.workers.session import run_worker

BUDGET_S: Final = 4.0  # for all ceilings of one framework, beyond its import
MAX_BUDGET_S: Final = 1.0  # for each
TIME_LIMIT_S: Final = 120.0


def calibrate(
    cases: Sequence[Case],
    environment_hash: str,
    conditions: ConditionMonitor,
    on_progress: Callable[[str], None],
    worker: Sequence[str] | None = None,
) -> Calibration:
    """Measure the ceilings of the cases' device in each of their frameworks and precisions, and idle power.

    Args:
        cases: at least one, all on one device.
        environment_hash: of the environment that the run is in now.
        conditions: measures idle power.
        on_progress: called with what is measured now, in words for people.
        worker: a command to start instead of our own worker.

    Returns:
        The calibration. What could not be measured is null in it, with the reason: nothing is raised.
    """
    taken_utc = datetime.now(UTC).isoformat(timespec="seconds")
    on_progress("idle power")
    idle = conditions.idle()
    selected = {case.precision for case in cases}
    precisions: list[Precision] = [name for name in get_args(Precision) if name in selected]
    matmuls: list[Matmul] = []
    copies: list[Copy] = []
    for framework in dict.fromkeys(framework_of(case.framework) for case in cases):
        on_progress(f"ceilings in {framework}")
        request = MeasureCeilings(
            framework=framework,
            device=cases[0].device,
            precisions=list(precisions),
            budget_s=min(MAX_BUDGET_S, BUDGET_S / (len(precisions) + 1)),
        )
        command = worker or session.worker_command(framework)
        outcome = run_worker(command, session.worker_environment(), request, Ceilings, TIME_LIMIT_S)
        if outcome.result is not None:
            matmuls += outcome.result.matmuls
            copies += outcome.result.copies
            continue
        why = outcome.reason or outcome.status
        matmuls += [
            Matmul(framework=framework, precision=precision, n=None, flops_per_s=None, reason=why)
            for precision in precisions
        ]
        copies.append(Copy(framework=framework, size_bytes=None, bytes_per_s=None, reason=why))
    return Calibration(
        environment=environment_hash,
        device=cases[0].device,
        taken_utc=taken_utc,
        matmuls=matmuls,
        copies=copies,
        idle=idle,
    )
