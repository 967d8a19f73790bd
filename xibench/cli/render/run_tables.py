"""The tables of `run` and `show`: one for each scenario, with the columns that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from xibench.cli.render.terminal import table_of
from xibench.record.format import NONE, count, counted, figures, interval, percent, percentile, seconds, size
from xibench.scenarios import Scenario, described, qualifier

if TYPE_CHECKING:
    from rich.table import Table

    from xibench.record.schema import Case, Costs, Environment, Rule
    from xibench.record.summary import Summary

AXES: Final = ("framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device")
INSTEAD, DISTURBED, UNSTEADY = "†", "‡", "§"
"""Marks beside a status: something else ran; processes were disturbed; a warm-up was cut off."""


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


def plan_table(rows: Sequence[tuple[Case, Costs]], rule: Rule) -> Table:
    """A plan: each case with what a step of it costs."""
    axes = (*AXES, *(["scenario"] if any(qualifier(case.scenario) for case, _ in rows) else []))
    right = ("", "batch", "resolution", "MACs/step", "bytes/step", "parameters")
    cells = [
        (str(i), *(str(getattr(case, axis)) for axis in axes), count(costs.macs), size(costs.bytes_moved),
         count(costs.parameters_total))
        for i, (case, costs) in enumerate(rows, start=1)
    ]
    each = "one process each" if rule.processes == 1 else f"{counted(rule.processes, 'process')} each, interleaved"
    return table_of(f"{counted(len(rows), 'case')}, {each}", ("", *axes, *right[-3:]), cells, right)


def _run_table(scenario: Scenario, summaries: Sequence[Summary], title: str) -> Table:
    measured = [s.case for s in summaries]
    axes = [a for a in AXES if a in ("framework", "model") or len({getattr(c, a) for c in measured}) > 1]
    columns = [
        column
        for column in (*(COLUMNS[name] for name in scenario.metrics), _STATUS)
        if column.shown == "always" or any(column.cell(s) != NONE for s in summaries)
    ]
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


def _first_step(summary: Summary) -> str:
    """Until the first result: the median of compiling ahead of time, where a framework does so, and of the step."""
    if summary.first_step_s is None:
        return NONE
    return seconds(summary.first_step_s.median + (summary.compile_s.median if summary.compile_s else 0.0))


def _steps(summary: Summary) -> str:
    return str(summary.step_s.n) if summary.step_s else NONE


def _peak(summary: Summary) -> str:
    return size(summary.peak_bytes if summary.device_peak_bytes is None else summary.device_peak_bytes)


def _joules(value: float | None) -> str:
    return NONE if value is None else figures(value)


def status(summary: Summary) -> str:
    """The status, with a mark for each thing that must be read beside the figures."""
    marks = [
        (INSTEAD, bool(summary.substitutions)), (DISTURBED, bool(summary.disturbed)), (UNSTEADY, summary.unsteady > 0)
    ]  # fmt: skip
    return " ".join([summary.status, *(mark for mark, stands in marks if stands)])


def _latency(name: str) -> Column:
    return Column(f"{name}\n[95 %] ms", lambda s: percentile(s.latency.get(name), 1e3))


COLUMNS: Final[Mapping[str, Column]] = {
    "images_per_s": Column("images/s\n[95 %]", lambda s: interval(s.images_per_s)),
    "step_s": Column("ms/step", lambda s: figures(s.step_s.median * 1e3) if s.step_s else NONE),
    "p50_s": _latency("p50"),
    "p90_s": _latency("p90"),
    "p99_s": _latency("p99"),
    "highest_rate_hz": Column(
        "highest rate\nqueries/s", lambda s: NONE if s.highest_rate_hz is None else figures(s.highest_rate_hz)
    ),
    "compile_s": Column("compile\n[95 %] s", lambda s: interval(s.compile_s)),
    "first_step_s": Column("first step\n[95 %] s", lambda s: interval(s.first_step_s)),
    "steps": Column("n", _steps),
    "processes": Column("proc.", lambda s: str(s.processes) if s.processes else NONE),
    "attained": Column("attained", lambda s: percent(s.attained)),
    "until_first_result": Column("first step\n+ compile", _first_step),
    "peak_bytes": Column("peak\nmemory", _peak),
    "joules_per_image": Column("J/image", lambda s: _joules(s.joules_per_image), "if any"),
    "joules_per_image_above_idle": Column(
        "J/image\nabove idle", lambda s: _joules(s.joules_per_image_above_idle), "if any"
    ),
}
"""The columns that a scenario may list as its metrics; every table ends with the status."""

_STATUS: Final = Column("status", status)
