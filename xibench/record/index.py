"""The state of each planned case, kept up to date attempt by attempt.

A run asks the same questions before every process: which case still owes one, which process comes next, how many are
left. Answering them from the list of attempts takes time in proportion to it; the index answers each in constant time,
so that scheduling the 4,000th process costs what scheduling the first one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from xibench.record.schema import Attempt, Case, Record, SamplingConfig


@dataclass(slots=True)
class _Progress:
    """One case's attempts and what follows from them."""

    attempts: list[Attempt] = field(default_factory=list)
    tried: set[int] = field(default_factory=set)  # numbers of the processes that were started at least once
    kept: list[int] = field(default_factory=list)  # numbers of the processes that need no repetition
    superseded: int = 0
    failed: bool = False  # an attempt ended without a measurement; the case is not started again


class AttemptIndex:
    """The attempts of a run, grouped by case, with the counts that scheduling needs.

    Args:
        plan: the run's cases, each once.
        sampling: the run's, for the number of processes a case takes.
        attempts: those that the run file holds already, in the order of the file.
    """

    def __init__(self, plan: Sequence[Case], sampling: SamplingConfig, attempts: Iterable[Attempt] = ()) -> None:
        self.plan = plan
        self.sampling = sampling
        self.attempts: list[Attempt] = []
        self._by_case = {case: _Progress() for case in plan}
        self._planned = frozenset(self._by_case)
        self._owed = [len(self._by_case)] * sampling.processes
        self._out_of_memory: dict[Case, int] = {}
        self._weights_digests: dict[tuple[object, ...], str] = {}
        for attempt in attempts:
            self.add(attempt)

    def add(self, attempt: Attempt) -> None:
        """Adds an attempt that has been written to the run file."""
        case, number = attempt.case, attempt.number
        self.attempts.append(attempt)
        progress = self._by_case.setdefault(case, _Progress())
        owed_before = self._owed_numbers(progress)

        progress.attempts.append(attempt)
        progress.tried.add(number)
        progress.superseded += attempt.superseded
        progress.failed |= attempt.status != "ok"
        if not attempt.superseded:
            progress.kept.append(number)

        if case in self._planned:
            for settled in owed_before - self._owed_numbers(progress):
                self._owed[settled] -= 1
        if attempt.process and attempt.process.weights_digest:
            self._weights_digests.setdefault(_weights_of(case), attempt.process.weights_digest)
        if attempt.status == "out_of_memory":
            of_series = series(case)
            self._out_of_memory[of_series] = min(case.batch, self._out_of_memory.get(of_series, case.batch))

    def owes(self, case: Case, number: int) -> bool:
        """Whether this process of the case is still to be measured. A case that failed once is not started again."""
        progress = self._by_case.get(case)
        return progress is None or not (progress.failed or number in progress.kept)

    def was_tried(self, case: Case, number: int) -> bool:
        """Whether this process of the case was started before, so that another one would be a repetition."""
        progress = self._by_case.get(case)
        return progress is not None and number in progress.tried

    def superseded(self, case: Case) -> int:
        """How many of the case's processes were disturbed and are repeated."""
        progress = self._by_case.get(case)
        return progress.superseded if progress else 0

    def owed(self, number: int) -> int:
        """How many of the plan's cases still owe the process of this number."""
        return self._owed[number]

    @property
    def settled(self) -> int:
        """How many of the plan's processes need no further measurement: they are measured, or cannot be."""
        return len(self._planned) * self.sampling.processes - sum(self._owed)

    def batch_out_of_memory(self, case: Case) -> int | None:
        """The smallest batch of the case's series (`series`) that ran out of memory; None if none did."""
        return self._out_of_memory.get(series(case))

    def weights_digest(self, case: Case) -> str | None:
        """The digest of the case's seeded weights, whichever process of the run computed it; None if none did."""
        return self._weights_digests.get(_weights_of(case))

    def is_complete(self, case: Case) -> bool:
        """Whether the case needs no further process: it has as many as the run takes, or it failed."""
        progress = self._by_case.get(case)
        return progress is not None and (progress.failed or len(progress.kept) >= self.sampling.processes)

    def pending(self) -> list[Case]:
        """The planned cases that need a further process, in the order of the plan."""
        return [case for case in self.plan if not self.is_complete(case)]

    def record(self, case: Case) -> Record:
        """The case with its attempts, in the order of the file. Raises KeyError if it has none."""
        attempts = self._by_case[case].attempts
        if not attempts:
            raise KeyError(case)
        return Record(case=case, attempts=list(attempts))

    def records(self) -> list[Record]:
        """The cases that have an attempt, in the order of the plan; cases outside the plan come last."""
        return [self.record(case) for case, progress in self._by_case.items() if progress.attempts]

    def _owed_numbers(self, progress: _Progress) -> set[int]:
        """The numbers of a planned case's processes that are still to be measured."""
        return set() if progress.failed else set(range(self.sampling.processes)).difference(progress.kept)


def _weights_of(case: Case) -> tuple[object, ...]:
    """What the initial weights of a case follow from."""
    return case.model, case.variant, case.resolution, case.weights


def series(case: Case) -> Case:
    """What the cases of a sweep have in common that differ in nothing but the batch: the case at batch 1."""
    return msgspec.structs.replace(case, batch=1)
