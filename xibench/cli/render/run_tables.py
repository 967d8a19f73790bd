"""The tables of `run` and `show`, one per scenario, and the notes below them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from xibench.cli.render.terminal import Table, case_name, say, show, table_of
from xibench.errors import UsageError
from xibench.record import marks
from xibench.record.format import NONE, count, counted, few, figure, heading, percent, seconds, size
from xibench.record.metrics import METRICS
from xibench.record.schema import Server
from xibench.scenarios import SCENARIOS, Scenario, described, qualifier

if TYPE_CHECKING:
    from pathlib import Path

    from xibench.record.metrics import Metric
    from xibench.record.schema import Calibration, Case, Costs, SamplingConfig
    from xibench.record.store import Run
    from xibench.record.summary import Summary

AXES: Final = ("framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device")

MAX_OVERHEAD: Final = 0.001  # share of a step; a larger overhead of the timing loop is noted
MAX_LISTED: Final = 3  # a note that applies to more cases than this, and to all of them, says `every case`
MAX_DISTURBED: Final = 5  # disturbed cases that are listed, each with its disturbances


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a run's table: its heading, and the function that formats a case's cell."""

    heading: str
    cell: Callable[[Summary], str]


def print_run(path: Path, run: Run, to_stderr: bool = False) -> None:
    """Print a run's tables, one per scenario, and their notes."""
    from xibench.record.store import resume_command
    from xibench.record.summary import summarise

    summaries = [summarise(record, run.calibration) for record in run.records]
    output = sys.stderr if to_stderr else sys.stdout
    if not summaries:
        say(f"{path}: {counted(len(run.header.plan), 'case')} planned, none measured yet", output)
        return

    # Tables, headed by the devices that were measured
    environment = run.header.environment
    names = {"cpu": f"{environment.processor}, {environment.cores_usable} cores"}
    if environment.gpus:
        names["cuda"] = environment.gpus[0].name
    used = dict.fromkeys(names.get(summary.case.device, names["cpu"]) for summary in summaries)
    for table in run_tables(summaries, "; ".join(used)):
        show(table, output)

    # Notes
    notes = run_notes(run, summaries)
    if pending := run.index.pending():
        shown = {summary.case for summary in summaries if summary.processes}
        partly = sum(case in shown for case in pending)
        counts = ((len(pending) - partly, "not measured yet"), (partly, "to be measured or repeated in part"))
        left = [f"{n} {'is' if n == 1 else 'are'} {what}" for n, what in counts if n]
        planned = counted(len(run.header.plan), "case")
        notes.append(f"Of {planned}, {' and '.join(left)}: `{resume_command(path)}`")

    needs = [
        (process.memory.host_peak_bytes, record.case)
        for record in run.records for process in record.processes if process.memory.host_peak_bytes
    ]  # fmt: skip
    if needs:
        largest, case = max(needs, key=lambda need: need[0])
        notes.append(f"Memory: a process needed up to {size(largest)} in all ({case_name(case)}).")

    # Conclusions, if there is anything to compare
    if len(summaries) > 1:
        from xibench.cli.render.conclusion_lines import conclusion_lines

        notes += conclusion_lines(path, run, summaries)
    for note in notes:
        say(note, output)


def run_tables(summaries: Sequence[Summary], title: str = "") -> list[Table]:
    """Return a table per scenario of the run, with a row per case.

    Args:
        summaries: Summaries of the run's cases.
        title: Beginning of each title, such as the machine. The title goes on with the axes on which all cases of the
            table agree, such as the precision; the other axes are columns.
    """
    scenarios: dict[str, list[Summary]] = {}
    for summary in summaries:
        scenarios.setdefault(summary.case.scenario, []).append(summary)

    tables = []
    for name, group in scenarios.items():
        columns = _columns(described(name), group)
        cases = [s.case for s in group]
        axes = [a for a in AXES if a in ("framework", "model") or len({getattr(c, a) for c in cases}) > 1]
        rows = [
            (*(str(getattr(s.case, axis)) for axis in axes), *(column.cell(s) for column in columns)) for s in group
        ]

        # Common values of the other axes, labelled unless the value is self-explanatory.
        common = cases[0]
        labelled = {
            "variant": "" if common.variant == "default" else f"variant {common.variant}",
            "recipe": f"recipe {common.recipe}", "batch": f"batch {common.batch}",
            "resolution": f"{common.resolution} px",
        }  # fmt: skip
        values = (labelled.get(axis, getattr(common, axis)) for axis in AXES if axis not in axes)
        headings = [column.heading for column in columns]
        tables.append(table_of(
            ", ".join(part for part in (title, qualifier(name), *values) if part), (*axes, *headings), rows,
            right=("batch", "resolution", *headings[:-1]),
        ))  # fmt: skip
    return tables


def plan_table(rows: Sequence[tuple[Case, Costs]], sampling: SamplingConfig) -> Table:
    """Return the table of a plan: its cases, each with the costs of one step."""
    axes = (*AXES, *(["scenario"] if any(qualifier(case.scenario) for case, _ in rows) else []))
    right = ("", "batch", "resolution", "MACs/step", "bytes/step", "parameters")
    cells = [
        (str(i), *(str(getattr(case, axis)) for axis in axes), count(costs.macs), size(costs.bytes_moved),
         count(costs.parameters_total))
        for i, (case, costs) in enumerate(rows, start=1)
    ]
    processes = sampling.processes
    each = "one process each" if processes == 1 else f"{counted(processes, 'process')} each, interleaved"
    return table_of(f"{counted(len(rows), 'case')}, {each}", ("", *axes, *right[-3:]), cells, right)


def status(summary: Summary) -> str:
    """Return the status of a case with the marks that apply; the notes explain each mark."""
    return f"{summary.status} {marks.marks_of(summary)}".rstrip()


def _columns(scenario: Scenario, summaries: Sequence[Summary]) -> list[Column]:
    """Return the columns that the scenario lists, then registered metrics that every table shows, then the status."""
    further = [
        name
        for name, metric in METRICS.items()
        if not metric.placed and name not in scenario.metrics and any(metric.applies(s.case) for s in summaries)
    ]
    columns = []
    for name in (*scenario.metrics, *further):
        if name in OWN_COLUMNS:
            columns.append(OWN_COLUMNS[name])
        elif name not in METRICS:
            raise UsageError(
                f"scenario {scenario.name} lists the metric {name}, which is not registered: expected one of "
                f"{', '.join((*METRICS, *OWN_COLUMNS))}; register it in a module that XIBENCH_PLUGINS names"
            )
        elif not METRICS[name].only_if_any or any(s[METRICS[name]] is not None for s in summaries):
            columns.append(_metric_column(METRICS[name]))
    return [*columns, Column("status", status)]


def _metric_column(metric: Metric[Any]) -> Column:
    return Column(heading(metric), lambda s: marks.shown(figure(metric, s[metric]), s, metric))


OWN_COLUMNS: Final[Mapping[str, Column]] = {
    "steps": Column("n", lambda s: str(s.step_s.n) if s.step_s else NONE),
    "processes": Column("proc.", lambda s: str(s.processes) if s.processes else NONE),
    "until_first_result": Column(
        "first step\n+ compile", lambda s: marks.shown(seconds(s.until_first_result_s), s)
    ),
    "peak_bytes": Column("peak\nmemory", lambda s: size(s.peak_memory_bytes)),
}
"""Columns that a scenario may list and that are not the value of a single metric."""


def run_notes(run: Run, summaries: Sequence[Summary]) -> list[str]:
    """Return the notes below a run's tables: definitions of the figures, marks, empty columns, failures, versions."""
    # Only a run with several batches can contain a batch sweep.
    sweeps = _sweeps(summaries) if len({s.case.batch for s in summaries}) > 1 else []
    failures = [(f"{s.status}: {s.reason or NONE}", s.case) for s in summaries if s.status != "ok"]
    versions = dict.fromkeys(
        f"{name} {version}" for r in run.records for p in r.processes for name, version in p.versions.items()
    )

    # Columns that are empty for a measured case, each with the reason
    listed = dict.fromkeys(name for scenario in SCENARIOS.values() for name in scenario.metrics)
    further = dict.fromkeys(name for name, metric in METRICS.items() if not metric.placed)
    empty = []
    for metric in (METRICS[name] for name in listed | further if name in METRICS and METRICS[name].heading):
        for s in summaries:
            in_table = not metric.placed or metric.name in described(s.case.scenario).metrics
            # Of a metric and its refinement, such as energy and energy above idle, only one gives the reason.
            repeats = metric.refines in METRICS and s[METRICS[metric.refines]] is None
            if s.processes and in_table and not repeats and s[metric] is None and (why := s.why_none(metric)):
                empty.append((f"{metric.label} is empty: {why}", s.case))
    return [
        *_definitions(run, summaries),
        *_marks(run, summaries),
        *sweeps,
        *_grouped(empty, len(summaries)),
        *_grouped(failures, len(summaries)),
        f"Versions: {', '.join(versions) or 'unknown, nothing was measured'}.",
    ]


def _definitions(run: Run, summaries: Sequence[Summary]) -> list[str]:
    """Return the definitions of the figures that the tables show, in the order of the columns."""
    notes = []

    # Intervals: of the steps of one process, or over several processes.
    shown = ((s, METRICS[m]) for s in summaries for m in described(s.case.scenario).metrics if m in METRICS)
    intervals = [value for s, m in shown if m.kind == "interval" and m.bounds and (value := s[m])]
    if any(value.processes == 1 for value in intervals):
        notes.append(
            "Intervals: 95 %, of the median over the n timed steps of one process. "
            "They do not include the variation between processes."
        )
    if any(value.processes > 1 for value in intervals):
        notes.append(
            "Intervals of several processes: 95 %, by resampling processes and then the steps of each, "
            "widened because the processes are few."
        )

    # Percentiles of the latency
    percentiles = [p for s in summaries if "p50_s" in described(s.case.scenario).metrics for p in s.latency.values()]
    if percentiles:
        notes.append(
            "Latency: from an image on the host to its logits on the host, one image at a time, n queries. Intervals: "
            "95 %, from the order statistics of the queries of all processes; they do not include the variation "
            "between processes."
        )
    if any(p.value is None for p in percentiles):
        notes.append("A percentile is empty where its interval needs more queries than were timed.")

    # The attained fraction of the roofline, and the roofline's ceilings
    if any(s.attained is not None for s in summaries):
        notes.append("attained: the minimum time of the layers at the ceilings, divided by the median step time.")
        if run.calibration is not None:
            notes.append(_ceilings(run.calibration))

    # Memory
    if any(s.device_peak_bytes is not None for s in summaries):
        notes.append("Peak memory on a GPU is the framework's own count of what it allocated there.")
    elif any(s.peak_bytes is not None for s in summaries):
        notes.append("Peak memory is the worker's resident set above what it held after importing the framework.")

    # Latency bounds of the scenario server
    bounds = ((record.case, [m.bound_s for p in record.processes if isinstance(m := p.measured, Server)])
              for record in run.records)  # fmt: skip
    text = "Highest rate of queries (Poisson arrivals) whose 99th percentile of latency, waiting included, is within"
    served = [(f"{text} {_bound_range(bounds_s)}", case) for case, bounds_s in bounds if bounds_s]
    return notes + _grouped(served, len(run.records))


def _bound_range(bounds_s: Sequence[float]) -> str:
    """Format latency bounds in s. They differ if each process took a multiple of its own single-query latency."""
    low, high = seconds(min(bounds_s)), seconds(max(bounds_s))
    return low if low == high else f"{low} to {high}, by process"


def _ceilings(calibration: Calibration) -> str:
    """Return the note on the ceilings of a run: the best matmul of each precision and the best copy."""
    rates = [
        (f"matmul {count(matmul.flops_per_s, 'FLOP/s')} {matmul.precision}", matmul.calls_s)
        for precision in dict.fromkeys(m.precision for m in calibration.matmuls)
        if (matmul := calibration.best_matmul(precision)) is not None
    ]
    if (copy := calibration.best_copy) is not None:
        rates.append((f"copy {count(copy.bytes_per_s, 'B/s')}", copy.calls_s))
    best = []
    for rate, calls_s in rates:
        calls = ""
        if calls_s:
            behind = percent(median(calls_s) / min(calls_s) - 1)
            calls = f" (fastest of {counted(len(calls_s), 'call')}; the median call takes {behind} longer)"
        best.append(rate + calls)
    return f"Ceilings, measured in this run: {', '.join(best)}."


def _marks(run: Run, summaries: Sequence[Summary]) -> list[str]:
    """Return the notes on what qualifies the measurements: marks in status, repeated processes, failures, outliers."""
    short = f"{marks.CUT_SHORT.symbol} {marks.CUT_SHORT.meaning}"
    cut_off = f"{marks.UNSTEADY.symbol} {marks.UNSTEADY.meaning}"
    notes = _grouped([
        *((f"{marks.SUBSTITUTED.symbol} requested {sub.wanted}; {sub.why}; ran {sub.ran}", s.case)
          for s in summaries for sub in s.substitutions),
        *((f"{cut_off}, in {counted(s.unsteady, 'process')}", s.case) for s in summaries if s.unsteady),
        *((f"{short}, in {counted(s.cut_short, 'process')}", s.case) for s in summaries if s.cut_short),
        *((f"The loop itself takes {percent(s.loop_overhead_share)} of a step, more than 0.1 %", s.case)
          for s in summaries if (s.loop_overhead_share or 0) > MAX_OVERHEAD),
        *((f"Settings that differ between the processes of one case: {', '.join(s.settings_differ)}", s.case)
          for s in summaries if s.settings_differ),
    ], len(summaries))  # fmt: skip

    # Processes that the total budget of the run ended early
    total_s = run.header.sampling.total_budget_s
    if total_s is not None:
        processes = [process for record in run.records for process in record.processes]
        ended = sum(p.sampled.stopped_by.startswith("total_budget_s") for p in processes if p.sampled)
        shared = f"The run's budget of {seconds(total_s)} was divided among its processes"
        notes.append(f"{shared}: it ended the timed steps of {ended} of {len(processes)}.")

    # Disturbances have figures of their own, so that every case is a line: only the first cases are listed.
    disturbed = [s for s in summaries if s.disturbed]
    listed = disturbed[:MAX_DISTURBED]
    notes += _grouped([(f"{marks.DISTURBED.symbol} disturbed: {few(s.disturbed)}", s.case) for s in listed], 0)
    if len(disturbed) > len(listed):
        more = counted(len(disturbed) - len(listed), "case")
        notes.append(f"{marks.DISTURBED.symbol} disturbed: {more} more, `xibench show --json` lists their disturbances")

    # Figures in brackets, with the share that others took
    taken = [(s, percent(s.taken_share)) for s in summaries if s.bracketed]
    if taken:
        cases = few([f"{share}: {case_name(s.case)}" for s, share in taken])
        notes.append(f"{marks.BRACKETED.symbol} {marks.BRACKETED.meaning} ({cases})")

    # Repeated processes, failed processes of measured cases, and outliers; nothing is discarded.
    repeated = sum(s.superseded for s in summaries)
    if repeated:
        was = "was" if repeated == 1 else "were"
        notes.append(
            f"{counted(repeated, 'process')} {was} disturbed and repeated: kept in the file, left out of the figures."
        )
    notes += _grouped([
        (f"{counted(s.failed, 'process')} of this case failed; the others were measured", s.case)
        for s in summaries if s.failed and s.processes
    ], len(summaries))  # fmt: skip
    found = [s.outliers for s in summaries if s.outliers is not None]
    mild, severe, n = (sum(getattr(o, field) for o in found) for field in ("mild", "severe", "n"))
    if mild or severe:
        notes.append(f"Outliers: {mild} mild and {severe} severe among {counted(n, 'step')}; all figures include them.")
    return notes


def _sweeps(summaries: Sequence[Summary]) -> list[str]:
    """Return a note per batch sweep: its knee, and the batch at which memory ran out."""
    from xibench.analysis.batch_sweep import KNEE_SHARE, sweeps

    notes = []
    for sweep in sweeps(summaries):
        largest = sweep.points[-1][0]
        if len(sweep.points) == 1:
            text = f"no knee: batch {largest} is the only one with a figure"
        elif sweep.knee is None:
            text = f"no knee: throughput still rises at batch {largest}, the largest that was measured"
        else:
            text = (
                f"knee at batch {sweep.knee}, the smallest with {percent(KNEE_SHARE)} of the highest throughput "
                f"(batch {sweep.best})"
            )
        if sweep.out_of_memory is not None:
            text += f"; memory ran out at batch {sweep.out_of_memory}"
        name = case_name(sweep.case).replace(f" batch {sweep.case.batch} ", " ")
        notes.append(f"Sweep: {text} ({name})")
    return notes


def _grouped(notes: Iterable[tuple[str, Case]], total: int) -> list[str]:
    """Merge equal notes and append the names of their cases, or `every case` if they are all `total` cases."""
    groups: dict[str, dict[str, None]] = {}
    for text, case in notes:
        groups.setdefault(text, {})[case_name(case)] = None
    everyone = {text for text, names in groups.items() if len(names) == total > MAX_LISTED}
    return [f"{text} ({'every case' if text in everyone else few(list(names))})" for text, names in groups.items()]
