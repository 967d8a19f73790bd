"""The job of the equality gate: what a network computes in float64, and how far recipe `default` is from that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from frameworks.api import Prepares, load, synchronised_step
from frameworks.recipes import Execution
from frameworks.task import Batch, Result, rms_error
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.schema import Case
from xibench.workers.messages import ComputeGoldenOutputs, GoldenError
from xibench.workers.programs import prepare, received


def run_job(
    request: ComputeGoldenOutputs, listener: PhaseListener, load_implementation: Callable[[str], Prepares] = load
) -> GoldenError:
    """Write the float64 result. Raises what the framework raises, ArithmeticError if `default` is not finite."""
    case, execution = request.case, received(request.execution)
    listener.on_phase(Phase.IMPORT)
    implementation = load_implementation(case.framework)
    implementation.touch(execution.device)
    batch = Batch(np.load(request.batch_file))
    listener.on_progress(f"recipe default in {case.precision}")
    default = _result(implementation, case, execution, batch)
    listener.on_progress("float64")
    exact = _result(implementation, case, replace(execution, precision="fp64"), batch)
    error = max(rms_error(default[name], exact[name]) for name in exact)
    if not math.isfinite(error):
        raise ArithmeticError(f"recipe default gives logits in {case.precision} or fp64 that are not finite numbers")
    np.savez(request.file, **exact)  # type: ignore[arg-type]  # the stub's allow_pickle
    return GoldenError(error=error)


def _result(implementation: Prepares, case: Case, execution: Execution, batch: Batch) -> Result:
    program = prepare(implementation, case, execution)
    placed = program.put(batch)
    program.compile(placed)
    return program.result(synchronised_step(program, placed))
