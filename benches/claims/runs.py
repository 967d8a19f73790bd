"""A claim that is measured as a run: its file is kept, and an interrupted measurement goes on with it."""

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
    """The run of these cases, interleaved; what the folder's file has of it already is not measured again.

    Raises InputError if the file has another plan, and what a run raises.
    """
    path, watch = folder / FILE, _Lines()
    if path.exists():
        run_file = start.resume(path, watch)
        if list(run_file.header.plan) != list(cases):
            run_file.close()
            raise InputError(f"{path} has another plan than this version's claim {claim}; move it away to begin again")
    else:
        run_file = start.start(cases, RULE, None, f"python -m benches.claims {claim}", path)
    with run_file:
        parent.run(run_file.pending(), run_file, watch)
    return read(path)


def ratio(ours: Record, theirs: Record) -> Ratio | None:
    """How many times as long their step takes as ours; None where either was not measured."""
    sides = [[p.steps_s for p in record.processes if p.steps_s] for record in (ours, theirs)]
    return unpaired_ratio(sides[0], sides[1], ours.case.seed) if all(sides) else None


def told(found: Ratio | None) -> dict[str, float | None] | None:
    """A ratio with its interval, as it stands among the figures. n: processes of the side that has fewer."""
    return None if found is None else {"ratio": found.ratio, "low": found.low, "high": found.high, "n": found.n}


class _Lines:
    """A line on standard error as each process begins."""

    def preparing(self, text: str) -> None:
        """What is measured before the first process."""
        print(text, file=sys.stderr)

    def started(self, case: Case, index: int, total: int) -> None:
        """A process begins."""
        print(f"[{index + 1}/{total}] {case.key}", file=sys.stderr)

    def phase(self, case: Case, text: str) -> None:
        """Says nothing."""

    def finished(self, record: Record) -> None:
        """Says nothing."""

    def warned(self, text: str) -> None:
        """Something that the user should know."""
        print(text, file=sys.stderr)
