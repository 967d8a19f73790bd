"""The job of the equality gate: what a network computes in float64, and how far recipe `default` is from that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from frameworks.runtime import Runtime, load, synchronised_step
from xibench.measure.errors import rms_error
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.schema import Case
from xibench.workers.messages import ComputeGoldenOutputs, GoldenError
from xibench.workers.programs import prepare


def run_job(
    request: ComputeGoldenOutputs, listener: PhaseListener, load_runtime: Callable[[str], Runtime] = load
) -> GoldenError:
    """Writes the float64 logits. Raises what the framework raises, ArithmeticError if `default` is not finite."""
    case = request.case
    listener.on_phase(Phase.IMPORT)
    runtime = load_runtime(case.framework)
    runtime.touch(case.device)
    images = np.load(request.batch_file)
    listener.on_progress(f"recipe default in {case.precision}")
    plain = _logits(runtime, case, images)
    listener.on_progress("float64")
    exact = _logits(runtime, msgspec.structs.replace(case, precision="fp64"), images)
    error = rms_error(plain, exact)
    if not math.isfinite(error):
        raise ArithmeticError(f"recipe default gives logits in {case.precision} or fp64 that are not finite numbers")
    np.save(request.file, exact)
    return GoldenError(error=error)


def _logits(runtime: Runtime, case: Case, images: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    subject = prepare(runtime, case)
    batch = subject.put(images)
    subject.compile(batch)
    return subject.fetch(synchronised_step(subject, batch))
