"""What one step of a case costs, from its blueprint and the run's measured ceilings. Imports no framework."""

from __future__ import annotations

from typing import Final

import msgspec

from frameworks.architectures import network
from frameworks.cost import as_written, attainable_s, cost, fused_layers
from xibench.record.schema import Calibration, Case, Costs

NO_CEILINGS: Final = "the run's ceilings were not measured"


def costs(case: Case, calibration: Calibration | None = None) -> Costs:
    """Return what one step of the case costs; with a run's ceilings also the time attainable by them."""
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
    peak, bandwidth, missing = _ceilings(case, calibration)
    if peak is None or bandwidth is None:
        return msgspec.structs.replace(known, absent={"attainable_s": missing, "attainable_as_written_s": missing})
    return msgspec.structs.replace(
        known,
        attainable_s=attainable_s(fused_layers(total), peak, bandwidth),
        attainable_as_written_s=attainable_s(as_written(total), peak, bandwidth),
    )


def _ceilings(case: Case, calibration: Calibration | None) -> tuple[float | None, float | None, str]:
    """Peak FLOP/s, bytes/s, and why either is None."""
    if calibration is None or calibration.device != case.device:
        return None, None, NO_CEILINGS
    peak, bandwidth = calibration.peak_flops_per_s(case.precision), calibration.bytes_per_s
    missing = f"matmul in {case.precision}" if peak is None else "copy"
    return peak, bandwidth, f"no {missing} could be measured for the run's ceilings"
