"""The tables of `run` and `show`: one for each scenario, with the columns that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from xibench.cli.render.terminal import table_of
from xibench.errors import UsageError
from xibench.record.format import NONE, count, counted, figure, heading, seconds, size
from xibench.record.metrics import METRICS
from xibench.scenarios import Scenario, described, qualifier

if TYPE_CHECKING:
    from rich.table import Table

    from xibench.record.schema import Case, Costs, Environment, SamplingConfig
    from xibench.record.summary import Summary

AXES: Final = ("framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device")
INSTEAD, DISTURBED, UNSTEADY, CUT_SHORT = "†", "‡", "§", "¶"
"""Marks beside a status: something else ran; processes were disturbed; warm-up, or sampling, was cut off."""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a table: its heading, how it is read from a case's summary, and whether it needs any value at all."""

    heading: str
    cell: Callable[[Summary], str]
    shown: Literal["always", "if any"] = "always"


def run_tables(summaries: Sequence[Summary], title: str = "") -> list[Table]:
    """A table for each scenario of the run, a row per case. Axes on which its cases agree stand in the title."""
    scenarios: dict[str, list[Summary]] = {}
    for summary in summaries:
        scenarios.setdefault(summary.case.scenario, []).append(summary)
    return [_run_table(described(name), group, title) for name, group in scenarios.items()]


def machine(environment: Environment, summaries: Sequence[Summary]) -> str:
    """What was measured on: the card where cases ran on one, else the processor with the cores that were usable."""
    if environment.gpus and any(s.case.device == "cuda" for s in summaries):
        return environment.gpus[0].name
    return f"{environment.processor}, {environment.cores_usable} cores"


def plan_table(rows: Sequence[tuple[Case, Costs]], sampling: SamplingConfig) -> Table:
    """A plan: each case with what a step of it costs."""
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


def _run_table(scenario: Scenario, summaries: Sequence[Summary], title: str) -> Table:
    measured = [s.case for s in summaries]
    axes = [a for a in AXES if a in ("framework", "model") or len({getattr(c, a) for c in measured}) > 1]
    columns = _columns(scenario, summaries)
    rows = [
        (*(str(getattr(s.case, axis)) for axis in axes), *(column.cell(s) for column in columns)) for s in summaries
    ]
    common = [_axis(a, measured[0]) for a in AXES if a not in axes and _axis(a, measured[0])]
    named = [qualifier(scenario.name)] if qualifier(scenario.name) else []
    headings = [column.heading for column in columns]
    return table_of(
        ", ".join([*([title] if title else []), *named, *common]), (*axes, *headings), rows,
        right=("batch", "resolution", *headings[:-1]),
    )  # fmt: skip


def _axis(axis: str, case: Case) -> str:
    value = getattr(case, axis)
    match axis:
        case "batch" | "recipe":
            return f"{axis} {value}"
        case "resolution":
            return f"{value} px"
        case "variant":
            return "" if value == "default" else f"variant {value}"
    return str(value)


def status(summary: Summary) -> str:
    """The status, with a mark for each thing that must be read beside the figures."""
    marks = [
        (INSTEAD, bool(summary.substitutions)), (DISTURBED, bool(summary.disturbed)), (UNSTEADY, summary.unsteady > 0),
        (CUT_SHORT, summary.cut_short > 0),
    ]  # fmt: skip
    return " ".join([summary.status, *(mark for mark, applies in marks if applies)])


def _columns(scenario: Scenario, summaries: Sequence[Summary]) -> list[Column]:
    """What the scenario lists, the registered metrics that every table shows, and the status."""
    further = [
        name
        for name, metric in METRICS.items()
        if not metric.placed and name not in scenario.metrics and any(metric.applies(s.case) for s in summaries)
    ]
    found = [*(_column(name, scenario) for name in (*scenario.metrics, *further)), Column("status", status)]
    return [column for column in found if column.shown == "always" or any(column.cell(s) != NONE for s in summaries)]


def _column(name: str, scenario: Scenario) -> Column:
    """A column by the name under which a scenario lists it: one of this module, or a metric's."""
    if name in OWN_COLUMNS:
        return OWN_COLUMNS[name]
    if name not in METRICS:
        raise UsageError(
            f"scenario {scenario.name} lists the metric {name}, which is not registered: expected one of "
            f"{', '.join((*METRICS, *OWN_COLUMNS))}; register it in a module that XIBENCH_PLUGINS names"
        )
    metric = METRICS[name]
    return Column(heading(metric), lambda s: figure(metric, s[metric]), "if any" if metric.only_if_any else "always")


OWN_COLUMNS: Final[Mapping[str, Column]] = {
    "steps": Column("n", lambda s: str(s.step_s.n) if s.step_s else NONE),
    "processes": Column("proc.", lambda s: str(s.processes) if s.processes else NONE),
    "until_first_result": Column("first step\n+ compile", lambda s: seconds(s.until_first_result_s)),
    "peak_bytes": Column("peak\nmemory", lambda s: size(s.peak_memory_bytes)),
}
"""Columns that a scenario may list and that are not the value of one metric."""
