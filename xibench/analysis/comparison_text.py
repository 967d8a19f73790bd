"""What can be concluded from a comparison: a sentence per case and metric, for the terminal, Markdown and the site."""

from __future__ import annotations

from typing import Final

from xibench.record import format
from xibench.record.comparison import Compared, Comparison, Ranking
from xibench.record.pair_metrics import STEP, find
from xibench.record.schema import Case
from xibench.scenarios import case_name

FRAMEWORK: Final = "framework:"
OF_MEMORY: Final = {"slower": "more", "faster": "less"}


def of_implementations(found: Comparison) -> bool:
    """Whether the sides are implementations, of which none is a later version of another."""
    return found.base.startswith(FRAMEWORK)


def name_of(base: str, case: Case) -> str:
    """Return the name of a case of a comparison with this base, without what its sides set."""
    set_by = {"framework": ("framework", "recipe"), "recipe": ("recipe",), "precision": ("precision",)}
    return case_name(case, set_by.get(base.partition(":")[0], ()))


def row_name(found: Comparison, pair: Compared) -> str:
    """Return the name of a row of a comparison: its case and, where there are several, its sides and its metric."""
    parts = [name_of(found.base, pair.case)]
    parts += [" against ".join(side.removeprefix(FRAMEWORK) for side in pair.sides[::-1])] if pair.sides else []
    parts += [find(pair.metric).label] if pair.metric else []
    return ", ".join(parts)


def verdict_of(pair: Compared) -> str:
    """Return the verdict as people say it of the metric: a side needs more memory, and is not slower."""
    return pair.verdict if find(pair.metric or STEP).is_time else OF_MEMORY.get(pair.verdict, pair.verdict)


def conclusions(found: Comparison) -> list[str]:
    """Return what can be concluded, a sentence per case and metric.

    It is the ranking of more than two sides; where that is not complete, each two have a sentence of their own.
    """
    ranked = {(one.case, one.metric): one for one in found.rankings or ()}
    sentences = [ranking(found, one) for one in ranked.values()]
    return sentences + [conclusion(found, p) for p in found.pairs if (p.case, p.metric or "step") not in ranked]


def ranking(found: Comparison, ranked: Ranking) -> str:
    """Return a ranking as a sentence: `1. jax; 2. pytorch (1.31 times as long [1.25, 1.37]) and tensorflow (…)`."""
    metric = find(ranked.metric)
    where = f"{name_of(found.base, ranked.case)}, {metric.label}"
    runs = f"{format.counted(ranked.n, 'pair')} of each two sides"
    if any(side.low is None for side in ranked.sides[1:]):
        return f"{where}: {runs}: too few for a ranking."
    more = "times as long" if metric.is_time else "times as much"
    ranks: dict[int, list[str]] = {}
    for side in ranked.sides:
        bounds = "" if side.low is None or side.high is None else f" [{_times(side.low)}, {_times(side.high)}]"
        times = "" if side is ranked.sides[0] else f" ({_times(side.ratio)} {more}{bounds})"
        ranks.setdefault(side.rank, []).append(side.side.removeprefix(FRAMEWORK) + times)
    tied = " (tied: not certain which is better)"
    places = [f"{rank}. {format.listing(sides)}{tied if len(sides) > 1 else ''}" for rank, sides in ranks.items()]
    return f"{where}: {'; '.join(places)}. At least {runs} were measured."


def conclusion(found: Comparison, pair: Compared) -> str:
    """Return what can be concluded about a case, as a sentence.

    A ratio of step times is given as people say it: `jax+tuned is 1.43 times as fast as tensorflow+tuned [1.31, 1.56]`.
    """
    base, new = (side.removeprefix(FRAMEWORK) for side in pair.sides or (found.base, found.new))
    if base == new:  # identical code, which tests for noise
        base, new = f"{base} (base)", f"{new} (new)"
    if not pair.paired:  # two stored runs, which have long identifiers
        base, new = "the base run", "the new run"
    metric = find(pair.metric or STEP)
    where = name_of(found.base, pair.case)
    where += "" if metric.name == STEP else f", {metric.label}"
    runs = format.counted(pair.n, "pair" if pair.paired else "process")
    if pair.medians_s:
        where += f": {_step(pair.medians_s[0])} a step in the base run, {_step(pair.medians_s[1])} in the new one"
    if pair.low is None or pair.high is None:
        least = ""
        if pair.further_pairs and pair.further_s:
            least = (
                f" It takes at least {format.counted(pair.further_pairs, 'more pair')}, about "
                f"{format.duration(pair.further_s)} (--budget)."
            )
        return f"{where}: {runs}: too few for a conclusion.{least}"
    limit = format.percent(found.threshold)
    less, more, times = (new, base, 1 / pair.ratio) if pair.ratio <= 1 else (base, new, pair.ratio)
    low, high = sorted((1 / pair.low, 1 / pair.high)) if pair.ratio <= 1 else (pair.low, pair.high)
    figures = f"[{_times(low)}, {_times(high)}], {runs}"
    said = f"{less} is {_times(times)} times as fast as {more} {figures}"
    better, alike = "which is faster", "take the same time"
    if metric.name != STEP and metric.is_time:
        said = f"{more} takes {_times(times)} times as long as {less} {figures}"
    elif not metric.is_time:
        said = f"{more} needs {_times(times)} times as much as {less} {figures}"
        better, alike = "which needs less", "need the same"
    match pair.verdict:
        case "slower" | "faster":
            return f"{where}: {said}."
        case "same":
            return f"{where}: {new} and {base} {alike} within {limit}: {said}."

    # Not certain: the interval and the test that decides may disagree for few processes.
    further = ""
    if pair.further_pairs and pair.further_s:
        further = (
            f" About {format.counted(pair.further_pairs, 'more pair')} like these "
            f"({format.duration(pair.further_s)}) would decide it."
        )
    if low > 1 + found.threshold:
        because = f"although the interval is on one side of 1: {runs} are few for the test"
        return f"{where}: not certain, {because}. {said}.{further}"
    return f"{where}: it is not certain {better}, or whether they are the same within {limit}: {said}.{further}"


def _step(seconds: float) -> str:
    """Format a time per step with three significant digits: `312 ms`."""
    return f"{format.number(seconds * 1e3)} ms"


def _times(ratio: float) -> str:
    """Format how many times as fast something is: three digits, and three decimals close to 1."""
    return f"{ratio:.3f}" if 0.9 < ratio < 1.1 else f"{ratio:.3g}"
