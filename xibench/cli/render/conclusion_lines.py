"""What can be concluded from a run, as the sentences that close `run` and `show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xibench.analysis.conclusions import conclusions, repetition
from xibench.record.format import counted, duration, figures, listing
from xibench.record.ranking import MAX_PROCESSES
from xibench.record.text import shell_word

if TYPE_CHECKING:
    from xibench.analysis.conclusions import Conclusion
    from xibench.record.ranking import Lead, Ranking
    from xibench.record.store import Run
    from xibench.record.summary import Summary

MAX_LINES: Final = 8  # conclusions that are printed
MAX_NAMED: Final = 3  # cases of a group that are named as not ranked
WORDS: Final = {
    "images_per_s": ("fastest", "faster", "as fast as"),
    "p50_s": ("fastest by the median latency", "faster", "as fast as"),
    "until_first_result_s": ("first to a result", "faster", "as fast as"),
    "highest_rate_hz": ("the one that sustains the highest rate", "better", "the rate of"),
}  # fmt: skip
"""By metric: what the best case is, what it is compared with another, and how a ratio is said."""


def conclusion_lines(path: Path, run: Run, summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield what a run shows: a line per group of comparable cases, then what it would take to decide the rest."""
    found = conclusions(summaries)
    if not found:
        return
    yield ""
    for one in found[:MAX_LINES]:
        yield f"{_where(one, found)}: {sentence(one)}."
    if len(found) > MAX_LINES:
        yield f"and {len(found) - MAX_LINES} more: `xibench show {shell_word(str(path))} --json`"
    if not any(one.ranking.order for one in found) and any(summary.bracketed for summary in summaries):
        yield "This run cannot be used: others took too much of the cores. Stop them, or wait, and measure again."
        return
    if run.index.pending():
        return  # a note has the command that measures what is left
    open_ = [one for one in found if one.ranking.undecided and not one.incomparable]
    needed = max((one.processes_needed for one in open_ if one.processes_needed is not None), default=None)
    if needed is not None:
        single = all(one.ranking.single for one in open_)
        what = "To learn how much processes differ" if single else "To decide what is open, if processes differ as here"
        command, estimate_s = repetition(run, needed)
        about = "" if estimate_s is None else f", about {_minutes(estimate_s)}"
        how = f": `{command}`" if command else ""
        yield f"{what}: {counted(needed, 'process')} per case (`--processes {needed}`){about}{how}"


def sentence(one: Conclusion) -> str:
    """Return what one group of comparable cases shows, without the full stop."""
    ranking = one.ranking
    if one.incomparable:
        text = f"not comparable: {one.incomparable}"
    elif one.lead is None or len(ranking.order) < 2:
        text = f"nothing to compare, only {_name(ranking.order[0])} is ranked" if ranking.order else "no case is ranked"
    else:
        text = _comparison(ranking, one.lead, one.processes_needed)
    if ranking.left_out and not one.incomparable:
        names = [f"{_name(summary)} ({reason})" for summary, reason in ranking.left_out]
        more = [f"{len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
        text += f"; not ranked: {listing([*names[:MAX_NAMED], *more])}"
    return text


def _comparison(ranking: Ranking, ahead: Lead, needed: int | None) -> str:
    best, second = ranking.order[:2]
    superlative, comparative, ratio = WORDS.get(
        ranking.metric.name, (f"best by {ranking.metric.label}", "better", "as good as")
    )
    places = figures if ahead.times >= 1.1 else "{:.3f}".format
    times = f"{places(ahead.times)} times {ratio} {_name(second)}"
    if ranking.certain:
        bounds = "" if ahead.low is None or ahead.high is None else f" [{places(ahead.low)}, {places(ahead.high)}]"
        return f"{_name(best)} is {superlative}, {times}{bounds}"
    if ranking.single:
        return f"{_name(best)} is ahead, {times}, but with one process per case this is not certain"
    undecided = listing([_name(other) for other in ranking.undecided])
    text = f"{_name(best)} is ahead, {times}, but it is not certain to be {comparative} than {undecided}"
    return text if needed else f"{text}, and {MAX_PROCESSES} processes per case would not decide it"


def _minutes(seconds: float) -> str:
    return duration(seconds) if seconds < 120 else f"{round(seconds / 60)} min"


def _where(one: Conclusion, all_: Sequence[Conclusion]) -> str:
    """Name a group: network and batch, and the other axes on which the run's groups differ."""
    case = one.case
    network = case.model if case.variant == "default" else f"{case.model}/{case.variant}"
    texts = {
        "scenario": case.scenario, "precision": case.precision, "resolution": f"{case.resolution} px",
        "device": case.device,
    }  # fmt: skip
    further = [text for axis, text in texts.items() if len({getattr(other.case, axis) for other in all_}) > 1]
    return ", ".join([network, f"batch {case.batch}", *further])


def _name(summary: Summary) -> str:
    return f"{summary.case.framework} {summary.case.recipe}"
