"""Ceilings and idle power before the first case: a worker per framework, and a window in which nothing works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, get_args

from frameworks.runtime import Precision, framework_of
from xibench.record.schema import Calibration, Case, Copy, Product
from xibench.run.monitor import Lookout
from xibench.workers import interpreters
from xibench.workers.messages import CeilingsRequest
from xibench.workers.session import Ending, Silent, converse

BUDGET_S: Final = 4.0  # for all ceilings of one framework, beyond its import
MOST_BUDGET_S: Final = 1.0  # for each
TIME_LIMIT_S: Final = 120.0


def calibrate(
    cases: Sequence[Case],
    environment_hash: str,
    lookout: Lookout,
    told: Callable[[str], None],
    worker: Sequence[str] | None = None,
) -> Calibration:
    """The ceilings of the cases' device in each of their frameworks and precisions, and idle power. Raises nothing:
    what could not be measured is null, with the reason.

    cases: at least one, all on one device. worker: a command to start instead of our own worker.
    """
    taken_utc = datetime.now(UTC).isoformat(timespec="seconds")
    told("idle power")
    idle = lookout.idle()
    wanted = {case.precision for case in cases}
    precisions: list[Precision] = [name for name in get_args(Precision) if name in wanted]
    products: list[Product] = []
    copies: list[Copy] = []
    for framework in dict.fromkeys(framework_of(case.framework) for case in cases):
        told(f"ceilings in {framework}")
        request = CeilingsRequest(
            framework=framework,
            device=cases[0].device,
            precisions=precisions,
            budget_s=min(MOST_BUDGET_S, BUDGET_S / (len(precisions) + 1)),
        )
        ending = _measured(request, worker)
        if ending.ceilings is not None:
            products += ending.ceilings.products
            copies += ending.ceilings.copies
            continue
        why = ending.reason or ending.status
        products += [
            Product(framework=framework, precision=precision, n=None, flops_per_s=None, reason=why)
            for precision in precisions
        ]
        copies.append(Copy(framework=framework, size_bytes=None, bytes_per_s=None, reason=why))
    return Calibration(
        environment=environment_hash,
        device=cases[0].device,
        taken_utc=taken_utc,
        products=products,
        copies=copies,
        idle=idle,
    )


def _measured(request: CeilingsRequest, worker: Sequence[str] | None) -> Ending:
    command = worker or interpreters.module_command(request.framework, "xibench.workers.ceilings")
    return converse(command, interpreters.environment(), request, TIME_LIMIT_S, None, Silent())
