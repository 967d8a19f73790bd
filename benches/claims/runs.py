"""Claims that are measured as a run, whose file is stored so that an interrupted measurement can resume."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benches.claims.claim import Figures
from xibench.errors import InputError
from xibench.measure.comparing import Ratio, unpaired_ratio
from xibench.record.schema import Calibration, Case, Record, SamplingConfig
from xibench.record.store import Run, read
from xibench.run import execute

FILE: Final = "run.jsonl"
MODELS: Final = ("xception", "inception_v3")
SAMPLING: Final = SamplingConfig(
    processes=3, repeats=1, warmup_steps=2, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=5, max_steps=100,
    budget_s=6.0, time_limit_s=300.0,
)  # fmt: skip


def measured(
    folder: Path, cases: Sequence[Case], program: str, file: str = FILE, budget_s: float | None = None,
    sampling: SamplingConfig = SAMPLING,
) -> Run:
    """Measure cases in one run, or the part of it that the run file in the folder does not contain yet.

    Args:
        folder: Folder of the run file.
        cases: The plan of the run.
        program: What measures it, as the run records it: `claims speed` for `python -m benches.claims speed`.
        file: Name of the run file.
        budget_s: Seconds after which the rest is left to a later call; None: no limit.
        sampling: How long each case is measured.

    Raises:
        InputError: The existing run file has another plan.
        XibenchError: As a run raises it.
    """
    path, observer = folder / file, _ProgressLines()
    if path.exists():
        run_file = execute.resume(path, observer)
        if list(run_file.header.plan) != list(cases):
            run_file.close()
            raise InputError(f"{path} has another plan than this version of `{program}`; move it away to start again")
    else:
        run_file = execute.start(cases, sampling, None, f"python -m benches.{program}", path)
    with run_file:
        execute.run(run_file.index.pending(), run_file, observer, budget_s=budget_s)
    return read(path)


def derived(folder: Path, figures: Callable[[Sequence[Record], Calibration | None], Figures]) -> Figures:
    """Return the figures of the run in a folder, without measuring anything."""
    run = read(folder / FILE)
    return figures(run.records, run.calibration)


def ratio(ours: Record, theirs: Record) -> Ratio | None:
    """Return the speedup of our step over theirs; None if one of them was not measured."""
    sides = [[p.steps_s for p in record.processes if p.steps_s] for record in (ours, theirs)]
    return unpaired_ratio(sides[0], sides[1], ours.case.seed) if all(sides) else None


def ratio_figures(found: Ratio | None) -> dict[str, float | None] | None:
    """Return a ratio as claims record it; `n` is the number of processes of the side that has fewer."""
    return None if found is None else {"ratio": found.ratio, "low": found.low, "high": found.high, "n": found.n}


class _ProgressLines:
    """Callbacks of a run that print a line to standard error as each process starts."""

    def preparing(self, text: str) -> None:
        """Print the measurement that precedes the first process."""
        print(text, file=sys.stderr)

    def started(self, case: Case, index: int, total: int) -> None:
        """Print the case of the process that starts."""
        print(f"[{index + 1}/{total}] {case.key}", file=sys.stderr)

    def phase(self, case: Case, text: str) -> None:
        """Print nothing."""

    def finished(self, record: Record) -> None:
        """Print nothing."""

    def warned(self, text: str) -> None:
        """Print a warning."""
        print(text, file=sys.stderr)
