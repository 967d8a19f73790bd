"""The ceilings of a run, measured before its first case, and what one step of a case costs compared with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, get_args

import msgspec

from frameworks.api import framework_of
from frameworks.architectures import network
from frameworks.cost import attainable_s, cost, roofline_layers
from frameworks.recipes import Precision
from xibench.record.schema import Calibration, Case, Copy, Costs, Matmul
from xibench.run.monitor import ConditionMonitor
from xibench.workers import session
from xibench.workers.messages import Ceilings, MeasureCeilings
from xibench.workers.session import run_worker

BUDGET_S: Final = 4.0  # for all ceilings of one framework, without its import
MAX_BUDGET_S: Final = 1.0  # for each of them
TIME_LIMIT_S: Final = 120.0
NO_CEILINGS: Final = "the run's ceilings were not measured"


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
        environment_hash: hash of the environment in which the run is now.
        conditions: measures idle power.
        on_progress: called with the name of each stage, as shown to users.
        worker: a command to start instead of our own worker.

    Returns:
        The calibration. A figure that could not be measured is null, with the reason; nothing is raised.
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


def costs(case: Case, calibration: Calibration | None = None) -> Costs:
    """Return the analytical cost of one step of a case and, given a run's ceilings, its attainable time."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    total = cost(blueprint, batch=case.batch, precision=case.precision)
    known = Costs(
        parameters_trainable=total.parameters_trainable,
        parameters_total=total.parameters_total,
        macs=total.macs,
        activations=total.activations,
        bytes_moved=total.bytes_moved,
        elementwise=total.elementwise,
    )

    # Attainable time takes both ceilings of the case's own device.
    peak = bandwidth = None
    missing = NO_CEILINGS
    if calibration is not None and calibration.device == case.device:
        peak, bandwidth = calibration.peak_flops_per_s(case.precision), calibration.bytes_per_s
        ceiling = f"matmul in {case.precision}" if peak is None else "copy"
        missing = f"no {ceiling} could be measured for the run's ceilings"
    if peak is None or bandwidth is None:
        return msgspec.structs.replace(known, absent={"attainable_s": missing, "attainable_as_written_s": missing})
    return msgspec.structs.replace(
        known,
        attainable_s=attainable_s(roofline_layers(total, fused=True), peak, bandwidth),
        attainable_as_written_s=attainable_s(roofline_layers(total, fused=False), peak, bandwidth),
    )
