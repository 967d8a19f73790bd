"""The state of each planned case, updated with every attempt.

A run asks the same questions before every process: which cases have pending processes, which process comes next, how
many are left. Answering them from the list of attempts would take time proportional to its length; the index answers
each in constant time, so scheduling the 4,000th process costs no more than scheduling the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Literal

import msgspec

from xibench.record.schema import Attempt, Case, Record, SamplingConfig, Status

weights_key: Final = attrgetter("model", "variant", "resolution", "weights")
"""The fields of a case that determine its initial weights."""


TOO_LARGE: Final[Mapping[Status, str]] = {
    "out_of_memory": "had run out of memory", "timeout": "had exceeded its time limit",
}  # fmt: skip
"""Failures that the size of a batch explains, so that a larger batch of the series would fail as well."""


@dataclass(slots=True)
class _Progress:
    """One case's attempts and what follows from them."""

    attempts: list[Attempt] = field(default_factory=list)
    tried: set[int] = field(default_factory=set)  # numbers of the processes that were started at least once
    kept: list[int] = field(default_factory=list)  # numbers of the processes that need no repetition
    settled: set[int] = field(default_factory=set)  # numbers of the plan's processes that need no measurement any more
    planned: bool = False
    superseded: int = 0
    failed: bool = False  # an attempt ended without a measurement; the case is not started again


class AttemptIndex:
    """The attempts of a run, grouped by case, with the counts that scheduling needs.

    Args:
        plan: the run's cases, each once.
        sampling: the run's, for the number of processes per case.
        attempts: those that the run file has already, in the order of the file.

    Attributes:
        plan, sampling: the same.
        attempts: all attempts, in the order of the file.
        pending_cases: by the number of a process, how many of the plan's cases have that process pending.
    """

    def __init__(self, plan: Sequence[Case], sampling: SamplingConfig, attempts: Iterable[Attempt] = ()) -> None:
        self.plan = plan
        self.sampling = sampling
        self.attempts: list[Attempt] = []
        self._by_case = {case: _Progress(planned=True) for case in plan}
        self._planned = len(self._by_case)
        self.pending_cases = [self._planned] * sampling.processes
        self._too_large: dict[Case, tuple[int, Status]] = {}
        self._weights_digests: dict[tuple[object, ...], str] = {}
        for attempt in attempts:
            self.add(attempt)

    def add(self, attempt: Attempt) -> None:
        """Add an attempt that has been written to the run file."""
        case, number = attempt.case, attempt.number
        self.attempts.append(attempt)
        progress = self._by_case.get(case)
        if progress is None:
            progress = self._by_case[case] = _Progress()
        progress.attempts.append(attempt)
        progress.tried.add(number)
        progress.superseded += attempt.superseded
        if not attempt.superseded:
            progress.kept.append(number)

        # A failed case is not started again, so none of its processes is pending.
        progress.failed |= attempt.status != "ok"
        if progress.planned:
            newly_settled = range(self.sampling.processes) if progress.failed else progress.kept[-1:]
            for settled in newly_settled:
                if settled not in progress.settled and settled < self.sampling.processes:
                    progress.settled.add(settled)
                    self.pending_cases[settled] -= 1

        if attempt.process and attempt.process.weights_digest:
            self._weights_digests.setdefault(weights_key(case), attempt.process.weights_digest)
        if attempt.status in TOO_LARGE:
            found = (case.batch, attempt.status)
            self._too_large[series(case)] = min(found, self._too_large.get(series(case), found))

    def state(self, case: Case, number: int) -> Literal["untried", "disturbed", "settled"]:
        """Return whether this process of the case was never started, is to be repeated, or needs no measurement.

        All processes of a case that failed are settled.
        """
        progress = self._by_case.get(case)
        if progress is None:
            return "untried"
        if progress.failed or number in progress.kept:
            return "settled"
        return "disturbed" if number in progress.tried else "untried"

    def may_repeat(self, case: Case) -> bool:
        """Return whether a disturbed process of the case is repeated; False once its repetitions are used up."""
        progress = self._by_case.get(case, _Progress())
        return progress.superseded < self.sampling.repeats

    @property
    def settled(self) -> int:
        """The number of the plan's processes that are measured or cannot be."""
        return self._planned * self.sampling.processes - sum(self.pending_cases)

    def too_large(self, case: Case) -> tuple[int, Status] | None:
        """Return the smallest batch of the case's `series` that was too large, and its status; None if none was."""
        return self._too_large.get(series(case))

    def weights_digest(self, case: Case) -> str | None:
        """Return the digest of the case's seeded weights; None if no process of the run computed it yet."""
        return self._weights_digests.get(weights_key(case))

    def pending(self) -> list[Case]:
        """Return the planned cases with a pending process, in the order of the plan."""
        processes = self.sampling.processes
        return [
            case
            for case in self.plan
            if not (progress := self._by_case[case]).failed and len(progress.kept) < processes
        ]

    def record(self, case: Case) -> Record:
        """Return the case with its attempts, in the order of the file. Raises KeyError if it has none."""
        attempts = self._by_case[case].attempts
        if not attempts:
            raise KeyError(case)
        return Record(case=case, attempts=list(attempts))

    def records(self) -> list[Record]:
        """Return the cases that have an attempt, in the order of the plan; cases outside the plan come last."""
        return [self.record(case) for case, progress in self._by_case.items() if progress.attempts]


def series(case: Case) -> Case:
    """Return the case at batch 1, which identifies the cases of a sweep that differ only in the batch."""
    return msgspec.structs.replace(case, batch=1)
