"""How figures are shown to people: units, intervals, tables. Nothing here computes a figure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from frameworks.cost import NetworkCost
    from xibench.analysis.verify import Report
    from xibench.cli.examination import Examination, FrameworkState
    from xibench.measure.statistics import Interval
    from xibench.record.schema import Case, Costs, Environment, Record
    from xibench.record.summary import Summary

NONE = "–"
LONGEST_WORD = 16  # characters; longer words, such as paths, are broken in a narrow table
PLAIN_WIDTH = 160  # characters per line where the output is no terminal: wide enough that nothing is cut


def seconds(value: float | None) -> str:
    """`3.2 s`, `45.1 ms`, `2 min 5 s`: three figures that matter."""
    if value is None:
        return NONE
    if value >= 100:
        return duration(value)
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= factor:
            return f"{figures(value / factor)} {unit}"
    return f"{figures(value / 1e-9)} ns"


def duration(value: float) -> str:
    """Whole seconds, for progress: `42 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def size(value: int | None) -> str:
    """Bytes in powers of 1024: `512 MiB`."""
    if value is None:
        return NONE
    number = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{figures(number)} {unit}" if unit != "B" else f"{value} B"
        number /= 1024
    return f"{figures(number)} TiB"


def count(value: float | None, unit: str = "") -> str:
    """Counts in powers of 1000: `8.36 G`, `22.9 M`; `unit` follows the prefix."""
    if value is None:
        return NONE
    number = float(value)
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 1000 or prefix == "T":
            break
        number /= 1000
    text = f"{number:.0f}" if not prefix else figures(number)
    return f"{text} {prefix}{unit}".rstrip()


def figures(value: float) -> str:
    """Three significant figures, without an exponent from 0.001 upwards."""
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    if magnitude >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def cases(number: int) -> str:
    """`1 case`, `12 cases`."""
    return f"{number} case{'' if number == 1 else 's'}"


def interval(value: Interval | None) -> str:
    """`6.12 [6.01, 6.20]`: the median and its 95 % interval; the median alone where there is none."""
    if value is None:
        return NONE
    middle = figures(value.median)
    if value.low is None or value.high is None:
        return f"{middle} [too few]"
    return f"{middle} [{figures(value.low)}, {figures(value.high)}]"


def error(value: float) -> str:
    """A relative error: `3.1e-15`."""
    return f"{value:.1e}"


def console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A rich console on `file` (stdout), as wide as its terminal, or PLAIN_WIDTH where it is none."""
    from rich.console import Console

    target = file or sys.stdout
    width = width or (None if target.isatty() else PLAIN_WIDTH)
    return Console(file=target, width=width, highlight=False, soft_wrap=False, markup=False)


def show(table: Table, file: TextIO | None = None, width: int | None = None) -> None:
    """Prints a table and an empty line."""
    output = console(file, width)
    if sum((column.min_width or 0) + 1 for column in table.columns) > output.width:
        for column in table.columns:
            column.min_width = None  # better a broken figure than one that is cut off
    output.print(table)
    output.print()


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in `right` are aligned there."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"), title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0), show_header=any(columns),
    )  # fmt: skip
    cells = [tuple(row) for row in rows]
    for i, column in enumerate(columns):
        words = " ".join((column, *(row[i] for row in cells))).split()
        least = min(max(map(len, words), default=1), LONGEST_WORD)  # a figure is not broken in a narrow terminal
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(column), justify=side, overflow="fold", min_width=least)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def cost_table(costs: NetworkCost) -> Table:
    """A network's sums, exact and rounded."""
    rows = [
        ("parameters, trainable", costs.parameters_trainable, count(costs.parameters_trainable)),
        ("parameters, total", costs.parameters_total, count(costs.parameters_total)),
        ("multiply-adds", costs.macs, count(costs.macs, "MAC")),
        ("element-wise operations", costs.elementwise, count(costs.elementwise)),
        ("activations", costs.activations, count(costs.activations)),
        ("bytes moved", costs.bytes_moved, size(costs.bytes_moved)),
    ]
    title = f"{costs.model}/{costs.variant}: {costs.resolution} px, batch {costs.batch}, {costs.precision}"
    return table_of(title, ("", "exactly", "about"), [(a, f"{b:,}", c) for a, b, c in rows], right=("exactly", "about"))


def layer_table(costs: NetworkCost) -> Table:
    """One row per layer, in the order in which they run."""
    right = ("output", "parameters", "MACs", "element-wise", "bytes moved")
    rows = [
        (layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.macs:,}",
         f"{layer.elementwise:,}", size(layer.bytes_moved))
        for layer in costs.layers
    ]
    return table_of(f"{costs.model}/{costs.variant}: layers", ("layer", "kind", *right), rows, right)


def inventory_tables(names: Mapping[str, Any]) -> list[Table]:
    """The tables of `xibench list`."""
    purposes = names["purposes"]
    versions = names["versions"]
    return [
        table_of("Networks", ("model", "variants"), [(m["name"], ", ".join(m["variants"])) for m in names["models"]]),
        table_of("Frameworks", ("framework", "installed"), [(f, installed(versions[f])) for f in names["frameworks"]]),
        table_of("Recipes", ("recipe", "stands for"), purposes["recipes"].items()),
        table_of("Precisions", ("precision", "means"), purposes["precisions"].items()),
        table_of("Presets", ("preset", "for"), purposes["presets"].items()),
    ]


def installed(versions: Mapping[str, str | None]) -> str:
    """`torch 2.13.0`, or which distribution lacks."""
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in versions.items())


def case_name(case: Case) -> str:
    """A case in the words of the command line."""
    variant = "" if case.variant == "default" else f"/{case.variant}"
    return (
        f"{case.framework} {case.model}{variant} {case.recipe} {case.precision} "
        f"batch {case.batch} {case.resolution} px {case.device}"
    )


AXES = ("framework", "model", "variant", "recipe", "precision", "batch", "resolution", "device")


def run_table(summaries: Sequence[Summary], title: str = "") -> Table:
    """The headline table: a row per case. Axes on which all cases agree stand in the title."""
    cases = [s.case for s in summaries]
    shown = [a for a in AXES if a in ("framework", "model") or len({getattr(c, a) for c in cases}) > 1]
    columns = (*shown, *_FIGURES)
    rows = [(*(str(getattr(s.case, axis)) for axis in shown), *_figures(s)) for s in summaries]
    common = [_axis(a, cases[0]) for a in AXES if cases and a not in shown and _axis(a, cases[0])]
    heading = ", ".join(([title] if title else []) + common)
    return table_of(heading, columns, rows, right=("batch", "resolution", *_FIGURES[:-1]))


_FIGURES = ("images/s\n[95 %]", "ms/step", "n", "first step\n+ compile", "peak\nmemory", "status")


def _figures(summary: Summary) -> tuple[str, ...]:
    first = None if summary.first_step_s is None else summary.first_step_s + (summary.compile_s or 0)
    mark = " †" if summary.substitutions else ""
    peak = summary.peak_bytes if summary.device_peak_bytes is None else summary.device_peak_bytes
    return (
        interval(summary.images_per_s), figures(summary.step_s.median * 1e3) if summary.step_s else NONE,
        str(summary.step_s.n) if summary.step_s else NONE, seconds(first), size(peak), f"{summary.status}{mark}",
    )


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


def machine(environment: Environment, summaries: Sequence[Summary]) -> str:
    """What was measured on: the card where cases ran on one, else the processor with the cores that were usable."""
    if environment.gpus and any(s.case.device == "cuda" for s in summaries):
        return environment.gpus[0].name
    return f"{environment.cpu_model}, {environment.cores_usable} cores"


def versions(records: Sequence[Record]) -> str:
    """The versions that were measured, as the workers saw them: `Versions: torch 2.13.0, python 3.11.7.`"""
    seen = {f"{name} {version}": None for r in records for p in r.processes for name, version in p.versions.items()}
    return f"Versions: {', '.join(seen)}." if seen else "Versions: unknown, nothing was measured."


def run_notes(summaries: Sequence[Summary]) -> list[str]:
    """What must be read beside the headline table: what intervals leave out, what ran instead, what failed and why."""
    notes = []
    if any(s.processes == 1 and s.step_s for s in summaries):
        notes.append(
            "Intervals: 95 %, of the median over the n timed steps of one process. "
            "They leave out how one process differs from the next."
        )
    if any(s.device_peak_bytes is not None for s in summaries):
        notes.append("Peak memory on a GPU is the framework's own count of what it allocated there.")
    elif any(s.peak_bytes is not None for s in summaries):
        notes.append("Peak memory is the worker's resident set above what it held after importing the framework.")
    said: dict[str, list[str]] = {}
    for s in summaries:
        for sub in s.substitutions:
            said.setdefault(f"† wanted {sub.wanted}; {sub.why}; ran {sub.ran}", []).append(case_name(s.case))
        if s.status != "ok":
            said.setdefault(f"{s.status}: {s.reason or NONE}", []).append(case_name(s.case))
    return notes + [f"{line} ({_few(who)})" for line, who in said.items()]


def _few(names: Sequence[str], most: int = 3) -> str:
    return "; ".join(names[:most]) + (f"; and {len(names) - most} more" if len(names) > most else "")


def plan_table(rows: Sequence[tuple[Case, Costs]]) -> Table:
    """A plan: each case with what a step of it costs."""
    columns = ("", *AXES, "MACs/step", "bytes/step", "parameters")
    cells = [
        (str(i), *(str(getattr(case, axis)) for axis in AXES), count(costs.macs), size(costs.bytes_moved),
         count(costs.parameters_total))
        for i, (case, costs) in enumerate(rows, start=1)
    ]
    right = ("", "batch", "resolution", "MACs/step", "bytes/step", "parameters")
    return table_of(f"{cases(len(rows))}, one process each", columns, cells, right)


def verify_tables(report: Report) -> list[Table]:
    """The proof of equality, grouped by pair, and the seeded mistakes by framework; what broke is listed one by one."""
    groups: dict[tuple[str, str, str, str], list[Any]] = {}
    for check in report.checks:
        groups.setdefault((check.model, check.left, check.right, check.precision), []).append(check)
    rows = []
    for (model, left, right, precision), checks in groups.items():
        worst = max(checks, key=lambda c: c.max_relative_error / c.tolerance)
        state = "ok" if all(c.ok for c in checks) else "BROKEN"
        rows.append((model, left, right, precision, str(len(checks)), error(worst.max_relative_error),
                     f"{worst.what}, {worst.worst}", error(worst.tolerance), state))
    right_columns = ("checks", "worst error", "tolerance")
    columns = ("model", "left", "right", "precision", "checks", "worst error", "at", "tolerance", "")
    tables = [table_of("Equality: relative error", columns, rows, right_columns)]
    broken = [c for c in report.checks if not c.ok]
    if broken:
        lines = [
            (c.model, c.left, c.right, c.precision, f"{c.what}, {c.worst}", error(c.max_relative_error),
             error(c.tolerance))
            for c in broken
        ]
        tables.append(table_of("Broken", ("model", "left", "right", "precision", "what", "error", "tolerance"), lines))
    if report.mistakes:
        tables.append(_mistake_table(report))
    return tables


def _mistake_table(report: Report) -> Table:
    frameworks = list(dict.fromkeys(m.framework for m in report.mistakes))
    caught: dict[tuple[str, str], dict[str, str]] = {}
    for m in report.mistakes:
        caught.setdefault((m.mistake, m.model), {})[m.framework] = "caught" if m.caught else "MISSED"
    rows = [(*seeded, *(found.get(f, NONE) for f in frameworks)) for seeded, found in caught.items()]
    return table_of("Seeded mistakes: does the proof notice them?", ("mistake", "in", *frameworks), rows)


def examination_tables(found: Examination) -> list[Table]:
    """The tables of `xibench doctor`."""
    frameworks = [
        (f.name, installed(f.versions), f.interpreter, ", ".join(f.devices) or NONE, f.problem or "ok")
        for f in found.frameworks
    ]
    machine = [(fact.name, fact.value) for fact in found.facts]
    tables = [
        table_of("Frameworks", ("framework", "versions", "interpreter", "devices", "state"), frameworks),
        *(_recipe_table(framework) for framework in found.frameworks if framework.recipes),
        table_of("Machine", ("", ""), machine),
    ]
    if found.lacks:
        lacks = [(lack.what, lack.effect, lack.cure) for lack in found.lacks]
        tables.append(table_of("Lacking", ("what", "what comes of it", "cure"), lacks))
    return tables


def _recipe_table(framework: FrameworkState) -> Table:
    rows = [
        (recipe if i == 0 else "", setting, why)
        for recipe, settings in framework.recipes.items()
        for i, (setting, why) in enumerate(settings)
    ]
    device = "cuda" if "cuda" in framework.devices else "cpu"
    return table_of(f"Recipes: {framework.name} on {device}", ("recipe", "setting", "why"), rows)
