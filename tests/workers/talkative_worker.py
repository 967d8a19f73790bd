"""A worker with a very long answer, or with one that never ends. Arguments: which, the pipe for answers."""

from __future__ import annotations

import os
import sys

from xibench.workers.__main__ import Parent, serve
from xibench.workers.messages import Request, Result, Steps

WHICH, PIPE = sys.argv[1], int(sys.argv[2])
STEPS = 1_000_000  # 20 MB as JSON


def run_job(request: Request, parent: Parent) -> Result:
    """Answer with the steps of a long measurement, or write garbage until this process is killed."""
    while WHICH == "garbage":
        os.write(PIPE, b"x" * 65536)
    return Steps(steps_s=[1.2345678901234567e-05 + step * 1e-12 for step in range(STEPS)])


if __name__ == "__main__":
    serve(PIPE, run_job)
