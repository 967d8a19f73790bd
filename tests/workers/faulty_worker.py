"""A worker that misbehaves in its job. Arguments: the fault, a file for its process id, the pipe for answers."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from xibench.measure.phase import Phase
from xibench.workers.__main__ import Parent, serve
from xibench.workers.messages import Request, Result

FAULT, PID_FILE, PIPE = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
HOARD_MIB = 300
PRINTED_BYTES = 100_000_000


def run_job(request: Request, parent: Parent) -> Result:
    """Cause the fault. A fault that is not fatal ends with an exit code."""
    print("last output", flush=True)
    parent.on_phase(Phase.BUILD)
    match FAULT:
        case "memory limit":
            hoard = np.ones((HOARD_MIB, 2**20), np.int8)
            time.sleep(600)
            print(hoard.sum())
        case "out of memory":
            raise MemoryError("no room")
        case "time limit" | "death of the parent":
            time.sleep(600)
        case "death of the worker":
            os.abort()
        case "100 MB on stdout":
            for _ in range(PRINTED_BYTES // 100_000):
                print("y" * 99_999)
        case "garbage on the pipe":
            os.write(PIPE, b"\x00garbage\n")
            time.sleep(600)
    sys.stdout.flush()
    os._exit(3)


if __name__ == "__main__":
    with PID_FILE.open("a") as pids:
        pids.write(f"{os.getpid()}\n")
    serve(PIPE, run_job)
