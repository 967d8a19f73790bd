"""Search over the open choices of a recipe: one choice after another, each value compared with the best recipe so far.

Every stage is a separate run, so that the cases that it compares are measured interleaved. A value is adopted if it is
faster by MARGIN. The best recipe is finally compared with `default` and `tuned` in fresh processes, and the fastest of
the three is the result. Every timed recipe has passed the equality gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import msgspec

from frameworks.api import find
from frameworks.errors import InvalidConfiguration, UnknownName
from frameworks.process import usable_cores
from frameworks.recipes import RECIPES
from xibench.errors import XibenchError
from xibench.measure.comparing import Ratio, unpaired_ratio
from xibench.record.schema import Case, Record, SamplingConfig

MARGIN: Final = 0.01  # minimum relative gain for which a value is adopted
ROUNDS: Final = 2  # passes over all choices; the second finds values that pay off only together with a later choice
SAMPLING: Final = SamplingConfig(
    processes=2, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=3.0, min_steps=5, max_steps=100, budget_s=3.0,
    time_limit_s=600.0,
)  # fmt: skip
CONFIRMATION: Final = msgspec.structs.replace(SAMPLING, processes=5, budget_s=6.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """Cases that are measured interleaved and compared."""

    name: str  # of the choice, or `start`, `batch` or `confirm`
    cases: tuple[Case, ...]  # best recipe so far first
    sampling: SamplingConfig = SAMPLING


MeasureStage = Callable[[int, Stage], Mapping[Case, Record]]
"""Measures the stage with this number, or reads its records if it was measured before."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case of a stage, compared with the first case of the stage.

    Attributes:
        case: The case.
        ratio: Time per image of the first case over that of this one, above 1 if this one is faster; None if it was not
            measured.
        status: Status of the case's record.
        reason: Why it was not measured; None if it was.
    """

    case: Case
    ratio: float | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage, its comparisons, and the best case, from which the next stage starts."""

    stage: Stage
    compared: tuple[Candidate, ...]
    best: Case


@dataclass(slots=True)
class SearchResult:
    """The state of a search and, at its end, its result.

    Attributes:
        best: The fastest case so far.
        stages: The finished stages.
        left_out: Choices that were not tried, or not tried again, because the budget was spent.
        gains: Speedup of the result over `default` and `tuned`.
    """

    best: Case
    stages: list[StageResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    gains: dict[str, Ratio] = field(default_factory=dict)


def search(
    case: Case,
    choices: Mapping[str, Sequence[str]],
    batches: Sequence[int],
    measure: MeasureStage,
    budget_spent: Callable[[], bool],
) -> SearchResult:
    """Search for the fastest recipe of a case.

    Args:
        case: The case; its recipe is ignored.
        choices: The choices to search, each with its values.
        batches: Further batch sizes to try with the best recipe.
        measure: Measures a stage.
        budget_spent: Returns whether the budget is spent; if so, no further choice is tried.

    Raises:
        XibenchError: No recipe could be measured.
    """
    found = SearchResult(case)
    recipes = {name: _canonical(case, name) for name in RECIPES}
    _run_stage(found, Stage("start", tuple(dict.fromkeys(recipes.values()))), measure)

    # Try every value of one choice after another; stop early when a whole round brings no improvement.
    tried: set[tuple[Case, Case]] = set()
    for _ in range(ROUNDS):
        best_before = found.best
        for name, values in choices.items():
            others = tuple(c for c in _alternatives(found.best, name, values) if (found.best, c) not in tried)
            if not others:
                continue
            if budget_spent():
                found.left_out += [name] if name not in found.left_out else []
                continue
            tried |= {(found.best, other) for other in others}
            _run_stage(found, Stage(name, (found.best, *others)), measure)
        if found.best == best_before:
            break

    if batches:
        sized = [msgspec.structs.replace(found.best, batch=batch) for batch in batches]
        _run_stage(found, Stage("batch", tuple(dict.fromkeys((found.best, *sized)))), measure)
    _confirm(found, recipes, measure)
    return found


def searched_choices(case: Case, names: Sequence[str] | None = None) -> Mapping[str, tuple[str, ...]]:
    """Return the choices that a search of a case tries, with their values.

    Args:
        case: The case.
        names: Names of choices; None for all that are open on the case's device.

    Raises:
        UnknownName: A name is not an open choice.
    """
    known = default_choices(case, usable_cores())
    for name in names or ():
        if name not in known:
            raise UnknownName(f"choice of a recipe in {case.framework} on {case.device}", name, known)
    return {name: values for name, values in known.items() if not names or name in names}


def default_choices(case: Case, cores: int) -> Mapping[str, tuple[str, ...]]:
    """Return all open choices of a case with their values.

    Args:
        case: The case, whose framework, device and precision determine the choices.
        cores: Usable cores; numbers of threads are tried with 1 and half the cores.
    """
    threads = sorted({n for n in (1, cores // 2) if 0 < n < cores})
    return find(case.framework).open_choices(case.device, case.precision, threads=threads)


def _canonical(case: Case, name: str) -> Case:
    """Return the case with a named recipe whose choices are written out, so that equal recipes have equal names."""
    framework = find(case.framework)
    return msgspec.structs.replace(case, recipe=framework.written(framework.recipe(name, case.device).choices))


def _alternatives(best: Case, name: str, values: Sequence[str]) -> Iterator[Case]:
    """Yield the best recipe with each other value of one choice, if that combination is valid."""
    framework = find(best.framework)
    current = framework.recipe(best.recipe, best.device).choices
    for value in values:
        if value == current[name]:
            continue
        text = framework.written({**current, name: value})
        try:
            framework.recipe(text, best.device)
        except InvalidConfiguration:  # for example autotuning without a compiler
            continue
        yield msgspec.structs.replace(best, recipe=text)


def _run_stage(found: SearchResult, stage: Stage, measure: MeasureStage) -> Mapping[Case, Record]:
    """Measure a stage, add its result to the search, and return its records."""
    records = measure(len(found.stages), stage)
    times = {case: _image_s(records[case]) for case in stage.cases if case in records}
    measured = {case: time for case, time in times.items() if time is not None}
    if not measured:
        reasons = {record.reason or record.status for record in records.values()}
        raise XibenchError(f"no recipe of {stage.cases[0].key} could be measured: {'; '.join(sorted(reasons))}")

    # The first case is the best one so far; if it could not be measured, the fastest one takes its place.
    fastest = min(measured, key=measured.__getitem__)
    base = stage.cases[0] if stage.cases[0] in measured else fastest
    best = fastest if measured[base] > (1 + MARGIN) * measured[fastest] or stage.name == "start" else base
    compared = tuple(
        Candidate(c, measured[base] / measured[c] if c in measured else None, records[c].status, records[c].reason)
        for c in times
    )
    found.stages.append(StageResult(stage, compared, best))
    found.best = best
    return records


def _confirm(found: SearchResult, recipes: Mapping[str, Case], measure: MeasureStage) -> None:
    """Compare the best recipe with `default` and `tuned` in fresh processes, and compute its gains over them."""
    named = {name: msgspec.structs.replace(recipes[name], batch=found.best.batch) for name in ("default", "tuned")}
    stage = Stage("confirm", tuple(dict.fromkeys((found.best, *named.values()))), CONFIRMATION)
    records = _run_stage(found, stage, measure)
    for name, case in named.items():
        sides = [[p.steps_s for p in records[c].processes if p.steps_s] for c in (found.best, case)]
        if case != found.best and all(sides):
            found.gains[name] = unpaired_ratio(sides[0], sides[1], case.seed)


def _image_s(record: Record) -> float | None:
    """Return the time per image in seconds: the median over processes of their median step; None if not measured."""
    if record.status != "ok":
        return None
    steps = [median(process.steps_s) for process in record.processes if process.steps_s]
    return median(steps) / record.case.batch if steps else None
