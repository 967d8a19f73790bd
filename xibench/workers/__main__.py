"""The one entry point of worker processes: `python -m xibench.workers PIPE`.

A worker is the only place where the instrument meets a framework. Each job is a file with a function
`run_job(request, parent)`, which is imported when it is first asked for, so that a worker loads only what it needs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Final

from xibench import plugins
from xibench.workers import messages
from xibench.workers.messages import Request, Result
from xibench.workers.serving import Parent, serve

JOBS: Final[Mapping[type, str]] = {
    messages.MeasureCase: "xibench.workers.case",
    messages.MeasureCeilings: "xibench.workers.ceilings",
    messages.ComputeGoldenOutputs: "xibench.workers.golden",
    messages.StartPairSide: "xibench.workers.pair_side",
    messages.ProbeFramework: "xibench.workers.probe_framework",
    messages.CountFlops: "xibench.workers.count_flops",
    messages.WriteBatch: "xibench.workers.write_batch",
    messages.RunForwardPass: "xibench.analysis.forward",
}
"""Request -> the module that does it. The other requests belong to a pair: its first one's job takes them."""


def run_job(request: Request, parent: Parent) -> Result:
    """Does what a request asks for, with the user's plugins. Raises what the framework raises."""
    plugins.load()
    result: Result = importlib.import_module(JOBS[type(request)]).run_job(request, parent)
    return result


if __name__ == "__main__":
    serve(int(sys.argv[1]), run_job)
