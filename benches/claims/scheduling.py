"""The cost of a large run file for the parent process: finding the next process, opening the file, and `show`."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benches.claims.bytecode import caching_bytecode
from benches.claims.claim import Claim, Figures, Target
from xibench.measure.statistics import Interval, median_interval
from xibench.record import files
from xibench.record.index import AttemptIndex
from xibench.record.schema import Attempt, Case, Header
from xibench.record.store import RunFile, read
from xibench.run.schedule import remaining_slots

CASES: Final = 400
PROCESSES: Final = 10
SOURCE: Final = Path(__file__).resolve().parents[2] / "results/reference/amd-epyc-avx2-2c/nightly.jsonl"
"""A run whose attempts are copied to other cases, so that the lines and numbers of samples are realistic."""
REPEATS: Final = 20  # timings of finding the next slot
OPENINGS: Final = 7  # timings of opening the file
SHOWS: Final = 5  # timings of `show`


def measure(_: Path) -> Figures:
    """Time all of them on a run file with CASES x PROCESSES attempts, and the first slot of the same run."""
    with tempfile.TemporaryDirectory(prefix="xibench-") as folder, caching_bytecode() as variables:
        path = large_run(Path(folder) / "run.jsonl", CASES, PROCESSES)
        run = read(path)
        steps = [len(attempt.process.steps_s) for attempt in run.attempts if attempt.process]
        _show(path, variables)
        return {
            "attempts": len(run.attempts),
            "bytes": path.stat().st_size,
            "steps_per_process": sum(steps) / len(steps),
            "first_slot_s": _interval(_first_slot(run.header, ())),
            "last_slot_s": _interval(_first_slot(run.header, run.attempts[:-1])),
            "whole_schedule_s_per_process": _whole_schedule(run.header, run.attempts),
            "open_s": _interval(_timed(lambda: RunFile.resume(path).close(), OPENINGS)),
            "show_s": _interval(_timed(lambda: _show(path, variables), SHOWS)),
        }


def large_run(path: Path, cases: int, processes: int) -> Path:
    """Write a complete run file whose attempts are copies of those in SOURCE.

    Args:
        path: Path of the file.
        cases: Number of cases.
        processes: Processes per case.

    Returns:
        The path.
    """
    source = read(SOURCE)
    measured = [attempt for attempt in source.attempts if attempt.process]
    plan = [
        msgspec.structs.replace(attempt.case, batch=number + 1)
        for number, attempt in zip(range(cases), itertools.cycle(measured), strict=False)
    ]
    header = msgspec.structs.replace(
        source.header, plan=plan, sampling=msgspec.structs.replace(source.header.sampling, processes=processes)
    )
    content = [msgspec.json.encode(header)]
    for order, (number, case) in enumerate(itertools.product(range(processes), range(cases))):
        attempt = measured[case % len(measured)]
        content.append(
            msgspec.json.encode(
                msgspec.structs.replace(attempt, case=plan[case], number=number, order=order, superseded=False)
            )
        )
    files.put(path, b"\n".join(content) + b"\n")
    return path


def _first_slot(header: Header, attempts: Sequence[Attempt]) -> list[float]:
    """Time how long a run that resumes after `attempts` takes to find its next process, in seconds."""
    index = AttemptIndex(header.plan, header.sampling, attempts)
    return _timed(lambda: next(remaining_slots(index, header.plan), None), REPEATS)


def _whole_schedule(header: Header, attempts: Sequence[Attempt]) -> float:
    """Time the scheduling of a whole run, including updates of the index; return the seconds per process."""
    by_slot: dict[tuple[Case, int], Attempt] = {(attempt.case, attempt.number): attempt for attempt in attempts}
    index = AttemptIndex(header.plan, header.sampling)
    began = time.perf_counter()
    for slot in remaining_slots(index, header.plan):
        index.add(by_slot[slot.case, slot.number])
    return (time.perf_counter() - began) / len(index.attempts)


def _show(path: Path, variables: dict[str, str]) -> None:
    command = [sys.executable, "-m", "xibench", "show", str(path)]
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True)


def _timed(call: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def _interval(samples: list[float]) -> dict[str, Any]:
    found: Interval = median_interval(samples)
    return {"median": found.median, "low": found.low, "high": found.high, "n": found.n}


CLAIM: Final = Claim(
    "scheduling",
    "A run file with 4,000 attempts: the next process is found in under 5 ms, opening and `show` take under 2 s each.",
    (
        Target("last_slot_s.median", at_most=0.005),
        Target("open_s.median", at_most=2.0),
        Target("show_s.median", at_most=2.0),
    ),
    measure,
)
