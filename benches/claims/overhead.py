"""The overhead of the instrument: of the timing loop per step, and of the start of the parent process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benches.claims.bytecode import caching_bytecode
from benches.claims.claim import Claim, Figures, Target
from xibench.measure.statistics import Interval, hierarchical_median, median_interval
from xibench.workers import session

PROCESSES: Final = 5
STARTS: Final = 20
LOOP: Final = """
import json
from xibench.measure.loop import MonotonicClock, read_cost_s
from xibench.measure.loop import overhead_s
clock = MonotonicClock()
print(json.dumps([[overhead_s(clock, lambda output: None, None) for _ in range(21)], read_cost_s(clock)]))
"""
PARENT: Final = """
import xibench.cli.commands.run, xibench.run.execute
import time
print(time.perf_counter())  # of the same clock as the parent's: monotonic since boot
"""


def measure(_: Path) -> Figures:
    """Measure the overhead of the loop in fresh processes, and the time until a parent could start a worker.

    Starts are those with cached bytecode; `first_parent_start_s` is the one that compiles all modules.
    """
    processes = [_loop() for _ in range(PROCESSES)]
    overhead = hierarchical_median([loops for loops, _ in processes])
    with caching_bytecode() as variables:
        first = _ready_s(variables)
        _wall_s(variables, "-m", "xibench", "--help")
        starts = [
            (_ready_s(variables), _wall_s(variables, "-m", "xibench", "--help"), _wall_s(variables, "-c", "pass"))
            for _ in range(STARTS)
        ]
    parent, help_, python = (_interval(median_interval(seconds)) for seconds in zip(*starts, strict=True))
    return {
        "loop_overhead_s": _interval(overhead),
        "clock_read_s": _interval(hierarchical_median([[read] for _, read in processes])),
        "shortest_step_s_below_0.1_percent": overhead.median / 0.001,
        "parent_start_s": parent,
        "first_parent_start_s": first,
        "help_s": help_,
        "python_start_s": python,
    }


def _loop() -> tuple[list[float], float]:
    done = subprocess.run(
        [sys.executable, "-c", LOOP], env=session.worker_environment(), capture_output=True, text=True, check=True
    )
    loops, read = json.loads(done.stdout)
    return loops, read


def _ready_s(variables: dict[str, str]) -> float:
    """Return the seconds from the start of a process until it has imported what starts a worker."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PARENT], env=variables, capture_output=True, text=True, check=True)
    return float(done.stdout) - began


def _wall_s(variables: dict[str, str], *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=variables, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _interval(found: Interval) -> dict[str, Any]:
    return {"median": found.median, "low": found.low, "high": found.high, "n": found.n, "processes": found.processes}


CLAIM: Final = Claim(
    "overhead",
    "The loop adds less than 0.1 % to a step of 5 ms or more, and the parent starts in under 0.3 s.",
    (
        Target("loop_overhead_s.median", at_most=0.001 * 0.005),
        Target("parent_start_s.median", at_most=0.3),
        Target("help_s.median", at_most=0.3),
    ),
    measure,
)
