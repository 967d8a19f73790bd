"""The verdicts that follow from pairs: those taken so far, while `xibench ab` measures, or all pairs of a file.

A series is the pairs of one case and two sides. All verdicts are decided together, because they are corrected for each
other (`measure.comparing.verdicts`).
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from xibench.measure import comparing
from xibench.measure.comparing import Verdict
from xibench.record import pair_metrics
from xibench.record.comparison import (
    Compared,
    Comparison,
    NotCompared,
    Ranked,
    Ranking,
    compared,
    differing_versions,
    unlike_settings,
)
from xibench.record.format import few
from xibench.record.pair_store import Pairs
from xibench.record.pairs import SAME_OUTPUT, Pair, PairsHeader, SideLine
from xibench.record.schema import Case

SPENT: Final = "the budget was spent before it"


class Series:
    """The pairs of one case and two sides so far, and a verdict for each metric.

    Attributes:
        case: The case of the plan.
        sides: Base and new, as positions among the sides of the comparison.
        pairs: In the order taken.
        verdicts: By the name of the metric; `unsure` until `decide` has been called.
    """

    def __init__(self, case: Case, sides: tuple[int, int], metrics: Sequence[str]) -> None:
        self.case = case
        self.sides = sides
        self.pairs: list[Pair] = []
        self.verdicts: dict[str, Verdict] = dict.fromkeys(metrics, "unsure")

    @property
    def counted(self) -> list[Pair]:
        """The pairs that count: measured, and not repeated."""
        return [pair for pair in self.pairs if pair.log_ratio is not None and not pair.superseded]

    @property
    def failed(self) -> Pair | None:
        """The pair that failed; None if none did."""
        return next((pair for pair in self.pairs if pair.log_ratio is None), None)

    def log_ratios(self, metric: str) -> list[float]:
        """Return log(new / base) by a metric of the pairs that count and have it."""
        known = pair_metrics.find(metric)
        return [ratio for pair in self.counted if (ratio := known.log_ratio(pair)) is not None]

    def undecided(self) -> bool:
        """Return whether a metric that the pairs have has no verdict yet."""
        return any(
            verdict == "unsure" and (not self.counted or self.log_ratios(metric))
            for metric, verdict in self.verdicts.items()
        )


def all_series(header: PairsHeader) -> list[Series]:
    """Return the series of a comparison without their pairs: every case with every two of the sides."""
    two = itertools.combinations(range(len(sides_of(header))), 2)
    return [Series(case, sides, header.metrics) for sides in two for case in header.plan]


def sides_of(header: PairsHeader) -> list[SideLine]:
    """Return all sides of a comparison."""
    return header.sides or [header.base, header.new]


def decide(series: Sequence[Series], threshold: float) -> None:
    """Set all verdicts from the pairs so far; they are corrected for each other (multiple testing)."""
    known = [(one, metric) for one in series for metric in one.verdicts if one.log_ratios(metric)]
    ratios = [comparing.paired_ratio(one.log_ratios(metric)) for one, metric in known]
    for (one, metric), verdict in zip(known, comparing.verdicts(ratios, threshold), strict=True):
        one.verdicts[metric] = verdict


def of_file(stored: Pairs) -> Comparison:
    """Return the comparison of a file of pairs."""
    series = all_series(stored.header)
    by_key = {(one.case.key, one.sides): one for one in series}
    for pair in stored.pairs:
        by_key[pair.case.key, pair.sides].pairs.append(pair)
    decide(series, stored.header.threshold)
    return comparison(stored.header, series)


def comparison(header: PairsHeader, series: Sequence[Series], ended: str = SPENT) -> Comparison:
    """Return the verdicts of all series.

    Args:
        header: First line of the file of pairs.
        series: The pairs, decided.
        ended: Why series without a pair have none.
    """
    pairs = [found for one in series for metric in one.verdicts if (found := of_series(header, one, metric))]
    missing = [
        NotCompared(case=one.case, why=_why_not(one, ended), failed=one.failed is not None)
        for one in series if not one.counted
    ]  # fmt: skip
    for one in series:
        absent = [pair_metrics.find(metric) for metric in one.verdicts if one.counted and not one.log_ratios(metric)]
        missing += [NotCompared(case=one.case, why=[f"{metric.label}: {metric.absent}"]) for metric in absent]
    return Comparison(
        base=header.base.name, new=header.new.name, threshold=header.threshold, pairs=pairs, not_compared=missing,
        slower=sum(pair.verdict == "slower" for pair in pairs),
        rankings=_rankings(header, pairs) if header.sides else UNSET,
    )  # fmt: skip


def of_series(header: PairsHeader, series: Series, metric: str) -> Compared | None:
    """Return the comparison of a series by a metric; None while no pair has it."""
    log_ratios = series.log_ratios(metric)
    if not log_ratios:
        return None
    sides = sides_of(header)
    base, new = (sides[index] for index in series.sides)
    first = series.counted[0]
    assert first.base is not None
    assert first.new is not None
    ratio, verdict = comparing.paired_ratio(log_ratios), series.verdicts[metric]
    detectable = comparing.detectable(statistics.stdev(log_ratios), ratio.n) if ratio.n > 2 else None

    # Two implementations differ in all settings and versions, so that only other sides list them.
    unlike, changed = list[str](), list[str]()
    if not base.name.startswith("framework:"):
        unlike = unlike_settings(first.base.settings, first.new.settings)
        if base.commit != new.commit:
            changed = [f"commit {_commit(base)} -> {_commit(new)}"]
        changed += differing_versions(first.base.versions, first.new.versions)
    found = compared(
        series.case, ratio, verdict, unlike, changed, _notes(header, series), detectable,
        failed=series.failed is not None,
    )  # fmt: skip

    # What a verdict would take, and the sides and metrics, where there are several
    more = comparing.further_pairs(log_ratios, header.threshold)
    if ratio.low is None:
        more = max(1, comparing.min_pairs() - ratio.n)
    if verdict == "unsure" and more is not None:
        seconds = statistics.median(pair.wall_s for pair in series.pairs)
        found = _with(found, further_pairs=more, further_s=more * seconds)
    if header.sides:
        found = _with(found, sides=(base.name, new.name))
    return _with(found, metric=metric) if header.metrics != (pair_metrics.STEP,) else found


def _with(found: Compared, **fields: object) -> Compared:
    return msgspec.structs.replace(found, **fields)


def _rankings(header: PairsHeader, pairs: Sequence[Compared]) -> list[Ranking]:
    """Rank the sides of every case and metric.

    A side's rank is 1 plus the number of sides that are certainly better, so that sides that cannot be
    distinguished share a rank. Within a rank, sides are in the order of their estimates.
    """
    names = [side.name for side in sides_of(header)]
    rankings = []
    for case, metric in itertools.product(header.plan, header.metrics):
        found = [pair for pair in pairs if (pair.case, pair.metric or pair_metrics.STEP) == (case, metric)]
        ratios = {pair.sides: pair for pair in found if pair.sides}
        if len(ratios) < len(names) * (len(names) - 1) / 2:
            continue  # a side failed, or the budget was spent before all sides were compared
        better, score = dict.fromkeys(names, 0), dict.fromkeys(names, 1.0)
        for (base, new), pair in ratios.items():
            better[new] += pair.verdict == "slower"
            better[base] += pair.verdict == "faster"
            score[new] *= pair.ratio
            score[base] /= pair.ratio
        order = sorted(names, key=lambda name: (better[name], score[name]))
        ranked = [_against(order[0], name, 1 + better[name], ratios) for name in order]
        rankings.append(Ranking(case=case, metric=metric, n=min(pair.n for pair in found), sides=ranked))
    return rankings


def _against(first: str, name: str, rank: int, ratios: dict[tuple[str, str], Compared]) -> Ranked:
    """Return a side of a ranking with its ratio to the side that is named first."""
    if name == first:
        return Ranked(side=name, rank=rank, ratio=1.0, low=None, high=None)
    pair = ratios.get((first, name))
    if pair is not None:
        return Ranked(side=name, rank=rank, ratio=pair.ratio, low=pair.low, high=pair.high)
    pair = ratios[name, first]
    low, high = (None if bound is None else 1 / bound for bound in (pair.high, pair.low))
    return Ranked(side=name, rank=rank, ratio=1 / pair.ratio, low=low, high=high)


def _why_not(series: Series, ended: str) -> list[str]:
    if series.failed:
        return [f"{series.failed.status}: {series.failed.reason}"]
    if series.pairs:
        return [f"all pairs were disturbed and superseded: {len(series.pairs)}; none could be repeated"]
    return [ended]


def _commit(side: SideLine) -> str:
    return side.commit[:10] if side.commit else "the checkout as it is"


def _notes(header: PairsHeader, series: Series) -> list[str]:
    notes, disturbed = list[str](), [pair for pair in series.counted if pair.disturbed]
    if disturbed:
        phrases = list(dict.fromkeys(phrase for pair in disturbed for phrase in pair.disturbed))
        notes.append(f"{len(disturbed)} of {len(series.counted)} pairs were disturbed: {few(phrases, 2)}")
    aside = sum(pair.superseded for pair in series.pairs)
    if aside:
        notes.append(f"{aside} disturbed pairs were repeated and left out")

    # The outputs of the sides: sides of a precision may differ by as much as the coarser one allows.
    precisions = [side.name.partition(":")[2] for side in sides_of(header) if side.name.startswith("precision:")]
    allowed = max(SAME_OUTPUT[name] for name in SAME_OUTPUT if name in (precisions or [series.case.precision]))
    errors = [pair.output_error for pair in series.counted if pair.output_error is not None]
    if errors and max(errors) > allowed:
        notes.append(f"the outputs of the sides differ by {max(errors):.2g} (relative RMS): not the same computation")

    # What ran instead of what was requested, once for each side
    names = [sides_of(header)[i].name for i in series.sides]
    for pair, (position, name) in itertools.product(series.counted, enumerate(names)):
        measured = (pair.base, pair.new)[position]
        notes += [f"{name}: {s.ran} instead of {s.wanted}: {s.why}" for s in measured.substitutions] if measured else []

    if header.procedure is not None and header.procedure.max_pairs < (least := comparing.min_pairs()):
        allowed_pairs = header.procedure.max_pairs
        notes.append(f"at most {allowed_pairs} pairs were allowed: a change takes at least {least} to be called")
    if series.failed:
        notes.append(f"a pair failed, none was taken after it: {series.failed.status}: {series.failed.reason}")
    return list(dict.fromkeys(notes))
