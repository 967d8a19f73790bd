"""The job that asks a framework's own counter for the FLOPs of a network."""

from __future__ import annotations

from frameworks.api import CountsFlops, load
from frameworks.architectures import network
from frameworks.errors import Unsupported
from frameworks.weights import initial
from xibench.measure.phase import Phase, PhaseListener
from xibench.workers.messages import CountFlops, FlopsCounted


def run_job(request: CountFlops, listener: PhaseListener) -> FlopsCounted:
    """Counts one inference pass. Raises Unsupported without a counter, otherwise what the counter raises."""
    listener.on_phase(Phase.IMPORT)
    implementation = load(request.framework)
    if not isinstance(implementation, CountsFlops):
        raise Unsupported(f"{request.framework} has no counter")
    built = network(request.model, request.variant, resolution=request.resolution)
    return FlopsCounted(flops=implementation.count_flops(built, initial(built), request.batch))
