"""`xibench ab`: compare sides, pair by pair, until every case has a verdict or the budget is spent."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from frameworks.api import find
from frameworks.process import programs_folder
from xibench import __version__
from xibench.ab.pair import BurstConfig, measure_pair
from xibench.ab.sides import Side, resolve
from xibench.errors import UsageError
from xibench.measure import comparing
from xibench.record import environment, pair_metrics
from xibench.record.comparison import Compared, Comparison
from xibench.record.files import ScratchFolder
from xibench.record.format import duration
from xibench.record.pair_comparison import Series, all_series, comparison, decide, of_series
from xibench.record.pair_store import PairsFile
from xibench.record.pairs import PAIRS_VERSION, Pair, PairsHeader, Procedure
from xibench.record.schema import Case, Surroundings
from xibench.run import execute, plan
from xibench.run.monitor import ConditionMonitor, WorkerMonitor
from xibench.run.plan import Selection
from xibench.workers import inputs, session

BESIDE_OTHERS: Final = (
    "both sides of a pair are measured in turns, so that verdicts hold but take more pairs; where it is never quiet, "
    "--repeats 0 keeps every pair"
)
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
        repeats: Disturbed pairs of a case that are repeated at most, and only while the budget has time for another.
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

    def warned(self, text: str) -> None:
        """Called once before the first pair if other programs take the cores."""

    def pair_begins(self, case: Case, number: int, open_cases: int) -> None:
        """Called when pair `number` (from 0) of a case starts, while `open_cases` cases are undecided."""

    def pair_ended(self, pair: Pair, so_far: Compared | None) -> None:
        """Called when a pair has been written; `so_far` is the comparison of its case, None while there is none."""


def compare_into_file(
    cases: Sequence[Case], sides: Sequence[Side], metrics: Sequence[str], limits: DecisionLimits, out: Path,
    command: str, watch: ComparisonObserver,
) -> tuple[Comparison, Path, bool]:  # fmt: skip
    """Compare sides and write a file of pairs.

    Args:
        cases: The cases to measure on all sides.
        sides: Base and new, or more.
        metrics: Names of the metrics that get a verdict (`pair_metrics`).
        limits: When a case counts as decided, and when the comparison ends.
        out: The file of pairs, or the folder for it.
        command: The command line, recorded as it is.
        watch: Called before and after each pair.

    Returns:
        The verdicts, the file of pairs, and whether Ctrl-C ended the comparison early.

    Raises:
        UsageError: There is no such metric.
        InputError, StoreError: The inputs cannot be read, or the file cannot be written.
    """
    with PairsFile(out, header(cases, sides, limits, command, metrics)) as pairs_file:
        try:
            return compare_sides(cases, sides, limits, pairs_file, watch), pairs_file.path, False
        except Stopped as stop:
            return stop.found, pairs_file.path, True


@contextmanager
def planned(selection: Selection, sides: Sequence[str]) -> Iterator[tuple[tuple[Case, ...], list[Side]]]:
    """Yield the cases of a comparison and its sides, whose files exist until the context ends.

    Args:
        selection: The cases to measure on all sides.
        sides: Base and new, or more, as `ab.sides.resolve` takes them.

    Raises:
        UsageError, UnknownName, InvalidConfiguration: A name of the selection, a side or its recipe does not exist, or
            a side cannot measure any case on this machine.
        InputError: A recipe file cannot be read.
    """
    with ScratchFolder("xibench-sides-") as scratch:
        resolved = [resolve(text, Path(scratch)) for text in sides]
        of_frameworks = [side.framework for side in resolved if side.framework is not None]
        if of_frameworks and len(of_frameworks) < len(resolved):
            raise UsageError(f"sides {' and '.join(sides)}: expected framework:NAME for all of them, or for none")
        if of_frameworks:
            selection = replace(selection, frameworks=(of_frameworks[0],))
        cases = plan.cases(selection)
        for side in resolved:
            of_side = [side.case(case) for case in cases]
            for case in of_side:
                find(case.framework).recipe(case.recipe, case.device)
            plan.require_possible(of_side)
        yield cases, resolved


def compare_sides(
    cases: Sequence[Case], sides: Sequence[Side], limits: DecisionLimits, pairs_file: PairsFile,
    watch: ComparisonObserver,
    bursts: BurstConfig | None = None, measure: Measure = measure_pair,
) -> Comparison:  # fmt: skip
    """Measure every two of the sides and return the verdicts. Each pair is in the file before the next begins.

    In each round, every case and two sides that are not decided yet get one pair, in random order. The verdicts stay
    valid although they are evaluated after every pair (`measure.comparing`).

    Args:
        cases: The cases to compare.
        sides: Base and new, or more.
        limits: When a case counts as decided, and when the comparison ends.
        pairs_file: Gets a line per pair; its header names the metrics.
        watch: Called before and after each pair.
        bursts: How the two processes of a pair alternate; None: the defaults.
        measure: Measures one pair.

    Raises:
        Stopped: On Ctrl-C.
        InputError, StoreError: The inputs cannot be read, or the file cannot be written.
    """
    first_line = pairs_file.header
    series = all_series(first_line)
    start_apart = any(pair_metrics.find(metric).from_start for metric in first_line.metrics)
    try:
        _take_pairs(series, sides, limits, pairs_file, watch, bursts or BurstConfig(start_apart=start_apart), measure)
    except KeyboardInterrupt:
        raise Stopped(comparison(first_line, series, "it was stopped before it")) from None
    return comparison(first_line, series)


def _take_pairs(
    series: Sequence[Series], sides: Sequence[Side], limits: DecisionLimits, pairs_file: PairsFile,
    watch: ComparisonObserver, bursts: BurstConfig, measure: Measure,
) -> None:  # fmt: skip
    rng = random.Random(limits.seed)
    began, longest_s = time.monotonic(), 0.0
    conditions = ConditionMonitor(watch_s=WATCH_S)
    with (
        ScratchFolder("xibench-ab-") as folder,
        ScratchFolder("xibench-ab-", programs_folder()) as programs,
        closing(conditions.nvml),
    ):
        if warning := conditions.busy(BESIDE_OTHERS):
            watch.warned(warning)
        while todo := [one for one in series if _needs_a_pair(one, limits)]:
            for one in rng.sample(todo, len(todo)):
                if limits.budget_s is not None and time.monotonic() - began + longest_s > limits.budget_s:
                    return
                watch.pair_begins(one.case, len(one.pairs), len(todo))
                batch_file = inputs.batch_file(one.case, Path(folder))
                monitor = WorkerMonitor(conditions)
                two = (sides[one.sides[0]], sides[one.sides[1]])
                pair = measure(one.case, two, len(one.pairs), batch_file, bursts, rng, Path(programs), monitor)
                longest_s = max(longest_s, pair.wall_s)
                fits = limits.budget_s is None or time.monotonic() - began + longest_s <= limits.budget_s
                may_repeat = fits and sum(pair.superseded for pair in one.pairs) < limits.repeats
                pair = _judged(msgspec.structs.replace(pair, sides=one.sides), monitor.end(), may_repeat)
                pairs_file.append(pair)
                one.pairs.append(pair)
                decide(series, limits.threshold)
                watch.pair_ended(pair, of_series(pairs_file.header, one, pairs_file.header.metrics[0]))
                if sum(len(one.pairs) for one in series) == 1 and (warning := _short_budget(pair, series, limits)):
                    watch.warned(warning)


def _short_budget(first: Pair, series: Sequence[Series], limits: DecisionLimits) -> str | None:
    """Say so, once the first pair is known, if the budget is too short for the pairs that a verdict takes."""
    enough = min(comparing.min_pairs(), limits.max_pairs) * len(series)
    needed_s = first.wall_s * enough
    if first.log_ratio is None or limits.budget_s is None or needed_s <= limits.budget_s:
        return None
    fitting = max(1, int(limits.budget_s / first.wall_s))
    return (
        f"a pair takes {duration(first.wall_s)}, so that about {fitting} of the {enough} pairs that a verdict takes at "
        f"least fit into the budget of {duration(limits.budget_s)}: take --budget {math.ceil(1.1 * needed_s / 60)}min"
    )


def _needs_a_pair(series: Series, limits: DecisionLimits) -> bool:
    """Return whether the pairs of a series do not decide it yet, and another one is allowed."""
    if series.failed or len(series.counted) >= limits.max_pairs:
        return False
    return series.undecided() or len(series.counted) < limits.min_pairs


def header(
    cases: Sequence[Case], sides: Sequence[Side], limits: DecisionLimits, command: str,
    metrics: Sequence[str] = (pair_metrics.STEP,), bursts: BurstConfig | None = None,
) -> PairsHeader:  # fmt: skip
    """Return the first line of a file of pairs.

    Args:
        cases: The plan.
        sides: Base and new, or more.
        limits: When a case counts as decided, and when the comparison ends.
        command: The command line, recorded as it is.
        metrics: Names of the metrics that get a verdict.
        bursts: How the two processes of a pair alternate; None: the defaults.

    Raises:
        UsageError: There is no such metric.
        InputError: The images or the weights cannot be read.
    """
    return PairsHeader(
        pairs_version=PAIRS_VERSION, xibench=__version__, created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command, base=sides[0].line, new=sides[1].line, threshold=limits.threshold,
        sides=[side.line for side in sides] if len(sides) > 2 else [],
        metrics=tuple(pair_metrics.find(name).name for name in metrics),
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
