"""A search over a recipe's open choices: one choice after another, each value beside the best recipe so far.

Every stage is a run of its own, so that what is compared was measured interleaved. A value is taken over if it looks
faster by MARGIN; what all of them are worth together is measured in fresh processes at the end, beside `default` and
`tuned`, and the fastest of those three is what was found. Whatever is timed has passed the equality gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import msgspec

from frameworks.api import find
from frameworks.errors import InvalidConfiguration, UnknownName
from frameworks.machine import usable_cores
from frameworks.recipes import RECIPES
from xibench.errors import XibenchError
from xibench.measure.comparing import Ratio, unpaired_ratio
from xibench.record.schema import Case, Record, SamplingConfig

MARGIN: Final = 0.01  # faster by less is not taken over
ROUNDS: Final = 2  # over all choices: the second finds what a later choice made worth while
RULE: Final = SamplingConfig(
    processes=2, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=3.0, min_steps=5, max_steps=100, budget_s=3.0,
    time_limit_s=600.0,
)  # fmt: skip
CONFIRMING: Final = msgspec.structs.replace(RULE, processes=5, budget_s=6.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is measured side by side. name: of the choice, or `start`, `batch`, `confirm`."""

    name: str
    cases: tuple[Case, ...]
    sampling: SamplingConfig = RULE


Take = Callable[[int, Stage], Mapping[Case, Record]]
"""Measures the stage of a number, or reads what was measured of it before."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case of a stage beside the stage's best so far. ratio: of step times per image, above 1 where it is faster."""

    case: Case
    ratio: float | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage and what came of it. best: the case that the next stage begins from."""

    stage: Stage
    compared: tuple[Candidate, ...]
    best: Case


@dataclass(slots=True)
class SearchResult:
    """What was found.

    left_out: choices not tried, or not tried again, as the budget was spent. gains: over `tuned` and `default`.
    """

    best: Case
    stages: list[StageResult] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    gains: dict[str, Ratio] = field(default_factory=dict)


def search(
    case: Case, choices: Mapping[str, Sequence[str]], batches: Sequence[int], take: Take, spent: Callable[[], bool]
) -> SearchResult:
    """The fastest recipe for a case. case: its recipe is of no account. choices: what is searched, with the values.

    batches: further ones to try with the recipe that was found; none: the case's own. spent: whether the budget is, so
    that no choice is begun any more. Raises XibenchError if no recipe can be measured.
    """
    found = SearchResult(case)
    known = {name: _canonical(case, name) for name in RECIPES}
    _advance(found, Stage("start", tuple(dict.fromkeys(known.values()))), take)
    tried: set[tuple[Case, Case]] = set()
    for _ in range(ROUNDS):
        began_with = found.best
        for name, values in choices.items():
            rivals = tuple(c for c in _rivals(found.best, name, values) if (found.best, c) not in tried)
            if not rivals:
                continue
            if spent():
                found.left_out += [name] if name not in found.left_out else []
                continue
            tried |= {(found.best, rival) for rival in rivals}
            _advance(found, Stage(name, (found.best, *rivals)), take)
        if found.best == began_with:
            break
    if batches:
        sized = [msgspec.structs.replace(found.best, batch=batch) for batch in batches]
        _advance(found, Stage("batch", tuple(dict.fromkeys((found.best, *sized)))), take)
    _confirm(found, known, take)
    return found


def searched_choices(case: Case, names: Sequence[str] | None = None) -> Mapping[str, tuple[str, ...]]:
    """What is searched for a case, with the values.

    names: of choices; None: all that the device leaves open. Raises UnknownName for a name that is none of them.
    """
    known = default_choices(case, usable_cores())
    for name in names or ():
        if name not in known:
            raise UnknownName(f"choice of a recipe in {case.framework} on {case.device}", name, known)
    return {name: values for name, values in known.items() if not names or name in names}


def default_choices(case: Case, cores: int) -> Mapping[str, tuple[str, ...]]:
    """Everything that can be chosen for a case; of threads one, and half as many as there are cores."""
    threads = sorted({n for n in (1, cores // 2) if 0 < n < cores})
    return find(case.framework).open_choices(case.device, case.precision, threads=threads)


def _canonical(case: Case, name: str) -> Case:
    """The case by a recipe with its choices written out, so that one recipe has one name."""
    framework = find(case.framework)
    return msgspec.structs.replace(case, recipe=framework.written(framework.recipe(name, case.device).choices))


def _rivals(best: Case, name: str, values: Sequence[str]) -> Iterator[Case]:
    """The best recipe with another value of one choice; without those that cannot be."""
    framework = find(best.framework)
    now = framework.recipe(best.recipe, best.device).choices
    for value in values:
        if value == now[name]:
            continue
        text = framework.written({**now, name: value})
        try:
            framework.recipe(text, best.device)
        except InvalidConfiguration:  # autotuning where nothing is compiled, for one
            continue
        yield msgspec.structs.replace(best, recipe=text)


def _advance(found: SearchResult, stage: Stage, take: Take) -> Mapping[Case, Record]:
    """Measures a stage and goes on with its best; returns its records."""
    records = take(len(found.stages), stage)
    times = {case: _image_s(records[case]) for case in stage.cases if case in records}
    measured = {case: time for case, time in times.items() if time is not None}
    if not measured:
        reasons = {record.reason or record.status for record in records.values()}
        raise XibenchError(f"no recipe of {stage.cases[0].key} could be measured: {'; '.join(sorted(reasons))}")
    before = stage.cases[0] if stage.cases[0] in measured else min(measured, key=measured.__getitem__)
    fastest = min(measured, key=measured.__getitem__)
    best = fastest if measured[before] > (1 + MARGIN) * measured[fastest] or stage.name == "start" else before
    compared = tuple(
        Candidate(c, measured[before] / measured[c] if c in measured else None, records[c].status, records[c].reason)
        for c in times
    )
    found.stages.append(StageResult(stage, compared, best))
    found.best = best
    return records


def _confirm(found: SearchResult, known: Mapping[str, Case], take: Take) -> None:
    """`default`, `tuned` and what was found, in fresh processes."""
    named = {name: msgspec.structs.replace(known[name], batch=found.best.batch) for name in ("default", "tuned")}
    stage = Stage("confirm", tuple(dict.fromkeys((found.best, *named.values()))), CONFIRMING)
    records = _advance(found, stage, take)
    for name, case in named.items():
        sides = [[p.steps_s for p in records[c].processes if p.steps_s] for c in (found.best, case)]
        if case != found.best and all(sides):
            found.gains[name] = unpaired_ratio(sides[0], sides[1], case.seed)


def _image_s(record: Record) -> float | None:
    """Seconds an image: the median over a case's processes of their median step; None where it was not measured."""
    if record.status != "ok":
        return None
    steps = [median(process.steps_s) for process in record.processes if process.steps_s]
    return median(steps) / record.case.batch if steps else None
