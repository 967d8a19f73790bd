"""`xibench ab`: compare two sides, pair by pair, until every case has a verdict or the budget is spent."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from frameworks.api import find
from frameworks.process import programs_folder
from xibench import __version__
from xibench.ab.pair import SAME_OUTPUT, BurstConfig, measure_pair
from xibench.ab.sides import Side, resolve
from xibench.errors import UsageError
from xibench.measure import comparing
from xibench.measure.comparing import Verdict
from xibench.record import environment
from xibench.record.comparison import Compared, Comparison, NotCompared, compared, differing_versions, unlike_settings
from xibench.record.pair_store import PairsFile
from xibench.record.pairs import PAIRS_VERSION, Pair, PairsHeader, Procedure
from xibench.record.schema import Case, Surroundings
from xibench.run import execute, plan
from xibench.run.monitor import ConditionMonitor, WorkerMonitor
from xibench.run.plan import Selection
from xibench.workers import inputs, session

SPENT: Final = "the budget was spent before it"
WATCH_S: Final = 0.1  # before and after each pair: ten of the kernel's ticks on one core
Measure = Callable[[Case, tuple[Side, Side], int, Path, BurstConfig, random.Random, Path, WorkerMonitor], Pair]


@dataclass(frozen=True, slots=True)
class DecisionLimits:
    """When a case counts as decided, and when the comparison ends without a decision.

    Attributes:
        threshold: A change within this share counts as the same.
        budget_s: No pair starts that is expected to end after this time; None: no budget.
        min_pairs: Pairs of a case that are measured whatever the verdict.
        max_pairs: Pairs of a case after which it stays unsure.
        repeats: Disturbed pairs of a case that are repeated at most.
        seed: Of the order of cases and bursts.
    """

    threshold: float = comparing.THRESHOLD
    budget_s: float | None = None
    min_pairs: int = 3
    max_pairs: int = 30
    repeats: int = 3
    seed: int = 0

    @classmethod
    def of(cls, **given: Any) -> DecisionLimits:
        """Return the default limits, replaced by those arguments that are not None."""
        return replace(cls(), **{name: value for name, value in given.items() if value is not None})


class Stopped(KeyboardInterrupt):
    """Ctrl-C ended a comparison.

    Attributes:
        found: The verdicts from the pairs until then, all of which are in the file.
    """

    def __init__(self, found: Comparison) -> None:
        super().__init__()
        self.found = found


class ComparisonObserver(Protocol):
    """Callbacks that report the progress of a comparison."""

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Called when pair `number` (from 0) of a case starts, while `open_cases` cases are undecided."""

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Called when a pair has been written; `so_far` is the comparison of its case, None while there is none."""


class _Undecided:
    """The state of one case: its pairs so far, and the verdict that follows from them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.pairs: list[Pair] = []
        self.verdict: Verdict = "unsure"

    @property
    def counted(self) -> list[Pair]:
        """The pairs that count: measured, and not repeated."""
        return [pair for pair in self.pairs if pair.log_ratio is not None and not pair.superseded]

    @property
    def log_ratios(self) -> list[float]:
        """The estimates of the pairs that count."""
        return [pair.log_ratio for pair in self.counted if pair.log_ratio is not None]

    @property
    def failed(self) -> Pair | None:
        """The pair that failed; None if none did."""
        return next((pair for pair in self.pairs if pair.log_ratio is None), None)

    def may_repeat(self, limits: DecisionLimits) -> bool:
        """Return whether a disturbed pair is repeated; False once the repetitions are used up."""
        return sum(pair.superseded for pair in self.pairs) < limits.repeats

    def is_open(self, limits: DecisionLimits) -> bool:
        """Return whether the case needs another pair."""
        if self.failed or len(self.counted) >= limits.max_pairs:
            return False
        return self.verdict == "unsure" or len(self.counted) < limits.min_pairs


def compare_selection(
    selection: Selection, sides: tuple[str, str], limits: DecisionLimits, out: Path, command: str,
    watch: ComparisonObserver,
) -> tuple[Comparison, Path, bool]:
    """Compare two sides, given as text, and write a file of pairs.

    Args:
        selection: The cases to measure on both sides.
        sides: Base and new, as `ab.sides.resolve` takes them.
        limits: When a case counts as decided, and when the comparison ends.
        out: The file of pairs, or the folder for it.
        command: The command line, recorded as it is.
        watch: Called before and after each pair.

    Returns:
        The verdicts, the file of pairs, and whether Ctrl-C ended the comparison early.

    Raises:
        UsageError, UnknownName, InvalidConfiguration: A name of the selection, a side or its recipe does not exist.
        InputError, StoreError: The inputs cannot be read, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="xibench-sides-") as scratch:
        both = (resolve(sides[0], Path(scratch)), resolve(sides[1], Path(scratch)))
        if (both[0].framework is None) != (both[1].framework is None):
            raise UsageError(f"sides {sides[0]} and {sides[1]}: expected framework:NAME for both, or for neither")
        if both[0].framework is not None:
            selection = replace(selection, frameworks=(both[0].framework,))
        planned = plan.cases(selection)
        with PairsFile(out, header(planned, both, limits, command)) as pairs_file:
            try:
                return compare_sides(planned, both, limits, pairs_file, watch), pairs_file.path, False
            except Stopped as stop:
                return stop.found, pairs_file.path, True


def compare_sides(
    cases: Sequence[Case], sides: tuple[Side, Side], limits: DecisionLimits, pairs_file: PairsFile,
    watch: ComparisonObserver,
    bursts: BurstConfig | None = None, measure: Measure = measure_pair,
) -> Comparison:  # fmt: skip
    """Measure base against new and return the verdicts. Each pair is in the file before the next begins.

    In each round, every case that is not decided yet gets one pair, in random order. The verdicts stay valid although
    they are evaluated after every pair (`measure.comparing`).

    Args:
        cases: The cases to compare.
        sides: Base and new.
        limits: When a case counts as decided, and when the comparison ends.
        pairs_file: Gets a line per pair.
        watch: Called before and after each pair.
        bursts: How the two processes of a pair alternate; None: the defaults.
        measure: Measures one pair.

    Raises:
        Stopped: On Ctrl-C.
        InputError, StoreError: The inputs cannot be read, or the file cannot be written.
    """
    states = [_Undecided(case) for case in cases]
    try:
        _take_pairs(states, sides, limits, pairs_file, watch, bursts or BurstConfig(), measure)
    except KeyboardInterrupt:
        raise Stopped(_comparison(states, sides, limits, "it was stopped before it")) from None
    return _comparison(states, sides, limits)


def _take_pairs(
    states: Sequence[_Undecided], sides: tuple[Side, Side], limits: DecisionLimits, pairs_file: PairsFile,
    watch: ComparisonObserver,
    bursts: BurstConfig, measure: Measure,
) -> None:  # fmt: skip
    rng = random.Random(limits.seed)
    began, longest_s = time.monotonic(), 0.0
    conditions = ConditionMonitor(watch_s=WATCH_S)
    with (
        tempfile.TemporaryDirectory(prefix="xibench-ab-") as folder,
        tempfile.TemporaryDirectory(prefix="xibench-ab-", dir=programs_folder()) as programs,
        closing(conditions.nvml),
    ):
        while todo := [state for state in states if state.is_open(limits)]:
            for state in rng.sample(todo, len(todo)):
                if limits.budget_s is not None and time.monotonic() - began + longest_s > limits.budget_s:
                    return
                watch.pair_begins(state.case, len(state.pairs), len(todo))
                batch_file = inputs.batch_file(state.case, Path(folder))
                monitor = WorkerMonitor(conditions)
                pair = measure(state.case, sides, len(state.pairs), batch_file, bursts, rng, Path(programs), monitor)
                pair = _judged(pair, monitor.end(), state.may_repeat(limits))
                longest_s = max(longest_s, pair.wall_s)
                pairs_file.append(pair)
                state.pairs.append(pair)
                decide(states, limits)
                watch.pair_ended(pair, _compared(state, sides, limits) if state.counted else None)


def header(
    cases: Sequence[Case], sides: tuple[Side, Side], limits: DecisionLimits, command: str,
    bursts: BurstConfig | None = None,
) -> PairsHeader:  # fmt: skip
    """Return the first line of a file of pairs.

    Args:
        cases: The plan.
        sides: Base and new.
        limits: When a case counts as decided, and when the comparison ends.
        command: The command line, recorded as it is.
        bursts: How the two processes of a pair alternate; None: the defaults.

    Raises:
        UsageError: There is no case, or none that a side can measure on this machine.
        UnknownName, InvalidConfiguration: The framework does not have the recipe of a side.
        InputError: The images or the weights cannot be read.
    """
    if not cases:
        raise UsageError("nothing to compare: the selection has no case; name at least one framework and model")
    for side in sides:
        of_side = [side.case(case) for case in cases]
        for case in of_side:
            find(case.framework).recipe(case.recipe, case.device)
        plan.require_possible(of_side)
    return PairsHeader(
        pairs_version=PAIRS_VERSION, xibench=__version__, created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command, base=sides[0].line, new=sides[1].line, threshold=limits.threshold,
        environment=environment.read(session.interpreters()), plan=list(cases),
        procedure=_procedure(bursts or BurstConfig(), limits), images=execute.input_images_of(cases),
        weights_digest=execute.weights_digest(cases[0].weights),
    )  # fmt: skip


def _procedure(bursts: BurstConfig, limits: DecisionLimits) -> Procedure:
    return Procedure(
        burst_s=bursts.burst_s, min_steps=bursts.min_steps, pair_s=bursts.pair_s, min_bursts=bursts.min_bursts,
        max_bursts=bursts.max_bursts, warmup_budget_s=bursts.warmup_budget_s, budget_s=limits.budget_s,
        min_pairs=limits.min_pairs, max_pairs=limits.max_pairs, repeats=limits.repeats, seed=limits.seed,
    )  # fmt: skip


def _judged(pair: Pair, around: Surroundings, may_repeat: bool) -> Pair:
    """Return the pair with its surroundings; it is superseded if it was disturbed and will be repeated."""
    superseded = bool(around.disturbed) and may_repeat and pair.log_ratio is not None
    return msgspec.structs.replace(pair, surroundings=around, disturbed=around.disturbed, superseded=superseded)


def decide(states: Sequence[_Undecided], limits: DecisionLimits) -> None:
    """Set the verdict of every case from the pairs so far; cases are corrected for each other (multiple testing)."""
    known = [state for state in states if state.counted]
    ratios = [comparing.paired_ratio(state.log_ratios) for state in known]
    for state, verdict in zip(known, comparing.verdicts(ratios, limits.threshold), strict=True):
        state.verdict = verdict


def _comparison(
    states: Sequence[_Undecided], sides: tuple[Side, Side], limits: DecisionLimits, ended: str = SPENT
) -> Comparison:
    """Return the verdicts of all cases.

    Args:
        states: The cases with their pairs.
        sides: Base and new.
        limits: The limits of the comparison.
        ended: Why cases without a pair have none.
    """
    pairs = [_compared(state, sides, limits) for state in states if state.counted]
    return Comparison(
        base=sides[0].name, new=sides[1].name, threshold=limits.threshold, pairs=pairs,
        not_compared=[
            NotCompared(case=state.case, why=_why_not(state, ended), failed=state.failed is not None)
            for state in states if not state.counted
        ],
        slower=sum(pair.verdict == "slower" for pair in pairs),
    )  # fmt: skip


def _why_not(state: _Undecided, ended: str) -> list[str]:
    if state.failed:
        return [f"{state.failed.status}: {state.failed.reason}"]
    if state.pairs:
        return [f"all pairs were disturbed and superseded: {len(state.pairs)}; none could be repeated"]
    return [ended]


def _compared(state: _Undecided, sides: tuple[Side, Side], limits: DecisionLimits) -> Compared:
    first = state.counted[0]
    assert first.base is not None
    assert first.new is not None
    ratio = comparing.paired_ratio(state.log_ratios)
    detectable = None
    if ratio.n > 2:
        detectable = comparing.detectable(statistics.stdev(state.log_ratios), ratio.n)
    unlike, changed = list[str](), list[str]()
    if sides[0].framework is None:  # two implementations differ in all settings and versions
        unlike = unlike_settings(first.base.settings, first.new.settings)
        if sides[0].commit != sides[1].commit:
            changed = [f"commit {_commit(sides[0])} -> {_commit(sides[1])}"]
        changed += differing_versions(first.base.versions, first.new.versions)
    return compared(
        state.case, ratio, state.verdict, unlike, changed, _notes(state, limits), detectable,
        failed=state.failed is not None,
    )  # fmt: skip


def _commit(side: Side) -> str:
    return side.commit[:10] if side.commit else "the checkout as it is"


def _notes(state: _Undecided, limits: DecisionLimits) -> list[str]:
    notes = [f"disturbed: {phrase}" for pair in state.counted for phrase in pair.disturbed]
    aside = sum(pair.superseded for pair in state.pairs)
    if aside:
        notes.append(f"{aside} disturbed pairs were repeated and left out")
    errors = [pair.output_error for pair in state.counted if pair.output_error is not None]
    if errors and max(errors) > SAME_OUTPUT[state.case.precision]:
        notes.append(f"the outputs of the sides differ by {max(errors):.2g} (relative RMS): not the same computation")
    least = comparing.min_pairs()
    if limits.max_pairs < least:
        notes.append(f"at most {limits.max_pairs} pairs were allowed: a change takes at least {least} to be called")
    if state.failed:
        notes.append(f"a pair failed, none was taken after it: {state.failed.status}: {state.failed.reason}")
    return list(dict.fromkeys(notes))
