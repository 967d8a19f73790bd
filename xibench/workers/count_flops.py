"""The job that asks a framework's own counter for the FLOPs of a network."""

from __future__ import annotations

from frameworks.architectures import network
from frameworks.errors import Unsupported
from frameworks.runtime import load
from frameworks.weights import initial
from xibench.measure.phase import Phase, PhaseListener
from xibench.workers.messages import CountFlops, FlopsCounted


def run_job(request: CountFlops, listener: PhaseListener) -> FlopsCounted:
    """Counts one inference pass. Raises Unsupported without a counter, otherwise what the counter raises."""
    listener.on_phase(Phase.IMPORT)
    runtime = load(request.framework)
    built = network(request.model, request.variant, resolution=request.resolution)
    flops = runtime.count_flops(built, initial(built), request.batch)
    if flops is None:
        raise Unsupported(f"{request.framework} has no counter")
    return FlopsCounted(flops=flops)
