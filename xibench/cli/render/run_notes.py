"""What must be read beside the tables of a run: what intervals hold, what marks mean, what is empty and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from xibench.cli.render.run_tables import CUT_SHORT, DISTURBED, INSTEAD, UNSTEADY
from xibench.cli.render.terminal import case_name
from xibench.record.format import NONE, count, counted, few, percent, seconds
from xibench.record.metrics import METRICS
from xibench.scenarios import SCENARIOS, described

if TYPE_CHECKING:
    from xibench.analysis.batch_sweep import Sweep
    from xibench.record.metrics import Metric
    from xibench.record.schema import Calibration, Case, Record
    from xibench.record.store import Run
    from xibench.record.summary import Summary

Notes = list[str]
MAX_OVERHEAD: Final = 0.001  # share of a step above which the loop's own cost is noted
LISTED: Final = 3  # cases that a note names before it says `every case`
NAMED: Final = 5  # disturbed cases that are said with what disturbed them


def run_notes(run: Run, summaries: Sequence[Summary]) -> Notes:
    """The notes below a run's tables, in the order of the tables' columns."""
    return [
        *_intervals(summaries),
        *_percentiles(summaries),
        *_ceilings(run.calibration, summaries),
        *_memory(summaries),
        *_bounds(run.records),
        *_marks(summaries),
        *_budget(run),
        *_disturbed(summaries),
        *_counts(summaries),
        *_sweeps(summaries),
        *_empty(summaries),
        *_failures(summaries),
        versions(run.records),
    ]


def versions(records: Sequence[Record]) -> str:
    """The versions that were measured, as the workers saw them: `Versions: torch 2.13.0, python 3.11.7.`"""
    seen = {f"{name} {version}": None for r in records for p in r.processes for name, version in p.versions.items()}
    return f"Versions: {', '.join(seen)}." if seen else "Versions: unknown, nothing was measured."


def _intervals(summaries: Sequence[Summary]) -> Notes:
    measured = [s for s in summaries if s.step_s or s.compile_s]
    notes = []
    if any(s.processes == 1 and s.step_s for s in measured):
        notes.append(
            "Intervals: 95 %, of the median over the n timed steps of one process. "
            "They leave out how one process differs from the next."
        )
    if any(s.processes > 1 for s in measured):
        notes.append(
            "Intervals of several processes: 95 %, by resampling processes and then the steps of each, "
            "widened for the few processes that there are."
        )
    return notes


def _percentiles(summaries: Sequence[Summary]) -> Notes:
    shown = [p for s in summaries if "p50_s" in described(s.case.scenario).metrics for p in s.latency.values()]
    if not shown:
        return []
    notes = ["Latency: from an image on the host to its logits on the host, one image at a time, n queries."]
    if any(p.value is None for p in shown):
        notes.append("A percentile is empty where its interval needs more queries than were timed.")
    return notes


def _ceilings(calibration: Calibration | None, summaries: Sequence[Summary]) -> Notes:
    if all(s.attained is None for s in summaries):
        return []
    notes = ["attained: the least time that the layers would take at the ceilings, over the median step time."]
    if calibration is not None:
        best = [
            f"product {count(product.flops_per_s, 'FLOP/s')} {product.precision}{_calls(product.calls_s)}"
            for precision in dict.fromkeys(p.precision for p in calibration.matmuls)
            if (product := calibration.best_matmul(precision)) is not None
        ]
        if (copy := calibration.best_copy) is not None:
            best.append(f"copy {count(copy.bytes_per_s, 'B/s')}{_calls(copy.calls_s)}")
        notes.append(f"Ceilings, measured in this run: {', '.join(best)}.")
    return notes


def _calls(calls_s: Sequence[float]) -> str:
    """How many calls a ceiling is the fastest of, and how far the typical one stays behind."""
    if not calls_s:
        return ""
    behind = percent(median(calls_s) / min(calls_s) - 1)
    return f" (fastest of {counted(len(calls_s), 'call')}; their median takes {behind} longer)"


def _memory(summaries: Sequence[Summary]) -> Notes:
    if any(s.device_peak_bytes is not None for s in summaries):
        return ["Peak memory on a GPU is the framework's own count of what it allocated there."]
    if any(s.peak_bytes is not None for s in summaries):
        return ["Peak memory is the worker's resident set above what it held after importing the framework."]
    return []


def _bounds(records: Sequence[Record]) -> Notes:
    from xibench.record.schema import Server

    text = "Highest rate of queries (Poisson arrivals) whose 99th percentile of latency, waiting included, is within"
    return _grouped([
        (f"{text} {_range(bounds)}", record.case)
        for record in records
        if (bounds := [p.measured.bound_s for p in record.processes if isinstance(p.measured, Server)])
    ], len(records))  # fmt: skip


def _range(bounds_s: Sequence[float]) -> str:
    """The bound, or the range of bounds where each process took a multiple of its own single query's time."""
    low, high = seconds(min(bounds_s)), seconds(max(bounds_s))
    return low if low == high else f"{low} to {high}, by process"


def _disturbed(summaries: Sequence[Summary]) -> Notes:
    """The phrases of each case, which all differ in their figures: only so many cases are named."""
    disturbed = [s for s in summaries if s.disturbed]
    notes = _grouped([(f"{DISTURBED} disturbed: {few(s.disturbed)}", s.case) for s in disturbed[:NAMED]], 0)
    if len(disturbed) > NAMED:
        more = counted(len(disturbed) - NAMED, "case")
        notes.append(f"{DISTURBED} disturbed: {more} more, `xibench show --json` says by what")
    return notes


def _marks(summaries: Sequence[Summary]) -> Notes:
    short = f"{CUT_SHORT} sampling ended early because the time limit was near: fewer steps than the rule asks for"
    cut_off = f"{UNSTEADY} warm-up ended at a limit, before a trend test found the steps steady"
    return _grouped([
        *((f"{INSTEAD} wanted {sub.wanted}; {sub.why}; ran {sub.ran}", s.case)
          for s in summaries for sub in s.substitutions),
        *((f"{cut_off}, in {counted(s.unsteady, 'process')}", s.case) for s in summaries if s.unsteady),
        *((f"{short}, in {counted(s.cut_short, 'process')}", s.case) for s in summaries if s.cut_short),
        *((f"The loop itself takes {percent(s.loop_overhead_share)} of a step, more than 0.1 %", s.case)
          for s in summaries if (s.loop_overhead_share or 0) > MAX_OVERHEAD),
        *((f"Settings that differ between the processes of one case: {', '.join(s.settings_differ)}", s.case)
          for s in summaries if s.settings_differ),
    ], len(summaries))  # fmt: skip


def _budget(run: Run) -> Notes:
    """What became of the run's total budget; nothing for a run without one."""
    total_s = run.header.sampling.total_budget_s
    if total_s is None:
        return []
    processes = [process for record in run.records for process in record.processes]
    ended = sum(p.sampled.stopped_by.startswith("total_budget_s") for p in processes if p.sampled)
    shared = f"The run's budget of {seconds(total_s)} was shared out over its processes"
    return [f"{shared}: {ended} of {len(processes)} ended their timed steps by it."]


def _counts(summaries: Sequence[Summary]) -> Notes:
    """What was repeated, what failed beside processes that did not, and what lies far from the rest: all is kept."""
    notes = []
    repeated = sum(s.superseded for s in summaries)
    if repeated:
        was = "was" if repeated == 1 else "were"
        notes.append(
            f"{counted(repeated, 'process')} {was} disturbed and repeated: kept in the file, left out of the figures."
        )
    notes += _grouped([
        (f"{counted(s.failed, 'process')} of this case failed beside those that were measured", s.case)
        for s in summaries if s.failed and s.processes
    ], len(summaries))  # fmt: skip
    found = [s.outliers for s in summaries if s.outliers is not None]
    mild, severe, n = (sum(getattr(o, field) for o in found) for field in ("mild", "severe", "n"))
    if mild or severe:
        notes.append(f"Outliers: {mild} mild and {severe} severe among {counted(n, 'step')}; they are in all figures.")
    return notes


def _sweeps(summaries: Sequence[Summary]) -> Notes:
    from xibench.analysis.batch_sweep import KNEE_SHARE, sweeps

    def text(sweep: Sweep) -> str:
        largest = sweep.points[-1][0]
        if sweep.knee is None:
            said = f"no knee: throughput still rises at batch {largest}, the largest that was measured"
        else:
            said = (
                f"knee at batch {sweep.knee}, the smallest with {percent(KNEE_SHARE)} of the highest throughput "
                f"(batch {sweep.best})"
            )
        return said if sweep.out_of_memory is None else f"{said}; memory ran out at batch {sweep.out_of_memory}"

    return [f"Sweep: {text(sweep)} ({_series_name(sweep)})" for sweep in sweeps(summaries)]


def _series_name(sweep: Sweep) -> str:
    return case_name(sweep.case).replace(f" batch {sweep.case.batch} ", " ")


def _empty(summaries: Sequence[Summary]) -> Notes:
    """Why a column is empty for a case that was measured."""
    listed = dict.fromkeys(name for scenario in SCENARIOS.values() for name in scenario.metrics)
    further = (name for name, metric in METRICS.items() if not metric.placed)
    columns = [METRICS[name] for name in dict.fromkeys((*listed, *further)) if name in METRICS]
    return _grouped([
        (f"{metric.label} is empty: {s.absent[metric.name]}", s.case)
        for metric in columns
        for s in summaries
        if s.processes and s[metric] is None and metric.name in s.absent and _is_column(metric, s)
    ], len(summaries))  # fmt: skip


def _is_column(metric: Metric[Any], summary: Summary) -> bool:
    """Whether the case's table has a column for the metric alone, and no other column gives the same reason."""
    if not metric.heading or (metric.refines and metric.refines not in summary.figures):
        return False
    return not metric.placed or metric.name in described(summary.case.scenario).metrics


def _failures(summaries: Sequence[Summary]) -> Notes:
    failed = [(f"{s.status}: {s.reason or NONE}", s.case) for s in summaries if s.status != "ok"]
    return _grouped(failed, len(summaries))


def _grouped(said: Iterable[tuple[str, Case]], total: int) -> Notes:
    """Says each text once, with the cases that it holds for, of `total`."""
    groups: dict[str, dict[str, None]] = {}
    for text, case in said:
        groups.setdefault(text, {})[case_name(case)] = None
    everyone = {text for text, names in groups.items() if len(names) == total > LISTED}
    return [f"{text} ({'every case' if text in everyone else few(list(names))})" for text, names in groups.items()]
