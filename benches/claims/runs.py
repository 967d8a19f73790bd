"""Claims that are measured as a run: its file is kept, and an interrupted measurement resumes from it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from xibench.errors import InputError
from xibench.measure.comparing import Ratio, unpaired_ratio
from xibench.record.schema import Case, Record, SamplingConfig
from xibench.record.store import Run, read
from xibench.run import execute as parent
from xibench.run import start

FILE: Final = "run.jsonl"
MODELS: Final = ("xception", "inception_v3")
RULE: Final = SamplingConfig(
    processes=3, repeats=1, warmup_steps=2, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=5, max_steps=100,
    budget_s=6.0, time_limit_s=300.0,
)  # fmt: skip


def measured(folder: Path, cases: Sequence[Case], claim: str) -> Run:
    """Measure these cases, interleaved in one run; processes that the folder's file has already are not repeated.

    Raises:
        InputError: The file has another plan.
        XibenchError: As `run` raises it.
    """
    path, watch = folder / FILE, _Lines()
    if path.exists():
        run_file = start.resume(path, watch)
        if list(run_file.header.plan) != list(cases):
            run_file.close()
            raise InputError(f"{path} has another plan than this version's claim {claim}; move it away to start again")
    else:
        run_file = start.start(cases, RULE, None, f"python -m benches.claims {claim}", path)
    with run_file:
        parent.run(run_file.pending(), run_file, watch)
    return read(path)


def ratio(ours: Record, theirs: Record) -> Ratio | None:
    """Return the speedup of our step over theirs; None if either was not measured."""
    sides = [[p.steps_s for p in record.processes if p.steps_s] for record in (ours, theirs)]
    return unpaired_ratio(sides[0], sides[1], ours.case.seed) if all(sides) else None


def ratio_figures(found: Ratio | None) -> dict[str, float | None] | None:
    """Return a ratio and its interval as claims record them. n: the processes of the side that has fewer."""
    return None if found is None else {"ratio": found.ratio, "low": found.low, "high": found.high, "n": found.n}


class _Lines:
    """Print a line on standard error as each process starts."""

    def preparing(self, text: str) -> None:
        """Print what is measured before the first process."""
        print(text, file=sys.stderr)

    def started(self, case: Case, index: int, total: int) -> None:
        """Print which process starts."""
        print(f"[{index + 1}/{total}] {case.key}", file=sys.stderr)

    def phase(self, case: Case, text: str) -> None:
        """Print nothing."""

    def finished(self, record: Record) -> None:
        """Print nothing."""

    def warned(self, text: str) -> None:
        """Print a warning."""
        print(text, file=sys.stderr)
