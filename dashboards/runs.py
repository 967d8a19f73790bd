"""Run files as the pages use them: rows of cases, grouped by the conditions under which they can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dashboards import words
from frameworks.api import IMPLEMENTATIONS
from xibench.errors import StoreError
from xibench.record import format as fmt
from xibench.record.marks import marks_of
from xibench.record.schema import Attempt, Calibration, Case, Header, Process, Record
from xibench.record.store import read
from xibench.record.summary import Summary, summarise
from xibench.scenarios import Scenario, described, qualifier

RECIPE_ORDER: Final = ("default", "compiled", "tuned")
MODEL_ORDER: Final = ("xception", "inception_v3", "resnet50", "resnet101", "resnet152", "vgg16")


@dataclass(frozen=True, slots=True)
class Row:
    """The record of a case with its summary."""

    record: Record
    summary: Summary

    @property
    def case(self) -> Case:
        """The case that was run."""
        return self.record.case

    @property
    def ok(self) -> bool:
        """Whether the case has a result."""
        return bool(self.record.processes)

    @property
    def process(self) -> Process:
        """The first process; only for rows with a result."""
        return self.record.processes[0]

    @property
    def framework(self) -> str:
        """Display name of the framework."""
        return words.name(self.case.framework)

    @property
    def recipe(self) -> str:
        """Display name of the recipe."""
        return words.name(self.case.recipe)

    @property
    def label(self) -> str:
        """`PyTorch tuned` with its footnote marks."""
        return f"{self.framework} {self.recipe}{self.mark}"

    @property
    def mark(self) -> str:
        """The marks of the case, as `xibench.record.marks` defines them."""
        return marks_of(self.summary).replace(" ", "")

    @property
    def watched(self) -> bool:
        """Whether the conditions around its processes were recorded; format 1 did not record them."""
        return any(attempt.surroundings for attempt in self.record.counted)


@dataclass(frozen=True, slots=True)
class Panel:
    """The rows of one network at one resolution, in display order."""

    model: str
    variant: str
    resolution: int
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """`Xception`, or `Xception, narrow` for a variant."""
        return network_title(self.model, self.variant)

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with a result."""
        return tuple(row for row in self.rows if row.ok)


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run file. `missing`: planned cases without a record, since the run was stopped before them."""

    name: str
    digest: str
    content: bytes
    header: Header
    rows: tuple[Row, ...]
    missing: tuple[Case, ...]
    calibrations: tuple[Calibration, ...]
    attempts: tuple[Attempt, ...]
    format_version: int  # of the file; `header` has been migrated to the current format
    cut_line: bool

    @property
    def calibration(self) -> Calibration | None:
        """The last measurement of ceilings and idle power, if any."""
        return self.calibrations[-1] if self.calibrations else None

    @property
    def short(self) -> str:
        """The first characters of the run id."""
        return self.header.run_id[:8]

    @property
    def anchor(self) -> str:
        """Identifies the run in anchors and file names."""
        return self.digest[:12]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one run that differ only in framework, recipe and network; in a family, in the batch too."""

    key: str
    run: LoadedRun
    case: Case  # any of the cases: all share its task, scenario, precision and device
    panels: tuple[Panel, ...]

    @property
    def title(self) -> str:
        """`Inference, batch 8, fp32, CPU`; `Inference, single-stream, fp32, CPU`"""
        task = {"infer": "Inference"}.get(self.case.task, self.case.task)
        scenario = [name] if (name := qualifier(self.case.scenario)) else []
        batch = [] if self.scenario.single_image else [self._batch]
        bound_s = self.case.latency_bound_s
        within = [] if bound_s is None else [f"p99 within {fmt.seconds_or_ms(bound_s)}"]
        return ", ".join([task, *scenario, *batch, self.case.precision, words.name(self.case.device), *within])

    @property
    def scenario(self) -> Scenario:
        """The scenario of the cases."""
        return described(self.case.scenario)

    @property
    def _batch(self) -> str:
        batches = self.batches
        return f"batch {batches[0]}" if len(batches) == 1 else f"batch {batches[0]} to {batches[-1]}"

    @property
    def batches(self) -> tuple[int, ...]:
        """The batches of the rows, in ascending order."""
        return tuple(sorted({row.case.batch for row in self.rows}))

    @property
    def subtitle(self) -> str:
        """`Run 1234, 2026-01-01 12:00 UTC`"""
        return f"Run {self.run.header.run_id}, {words.moment(self.run.header.created_utc)}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all panels."""
        return tuple(row for panel in self.panels for row in panel.rows)

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with a result."""
        return tuple(row for row in self.rows if row.ok)


def load(path: Path) -> LoadedRun:
    """Read a run file.

    Raises:
        StoreError: the file cannot be read.
        NewerFormat: the file was written by a newer xibench.
    """
    run = read(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"run file {path} cannot be read: {error.strerror}") from error
    rows = tuple(Row(record, summarise(record, run.calibration)) for record in run.records)
    done = {row.case for row in rows}
    return LoadedRun(
        name=path.name,
        digest=hashlib.sha256(content).hexdigest(),
        content=content,
        header=run.header,
        rows=rows,
        missing=tuple(case for case in run.header.plan if case not in done),
        calibrations=run.calibrations,
        attempts=run.attempts,
        format_version=_file_format(content),
        cut_line=run.cut_line,
    )


def _file_format(content: bytes) -> int:
    version: int = msgspec.json.decode(content.split(b"\n", 1)[0])["format_version"]
    return version


def groups(runs: Sequence[LoadedRun], metric: str | None = None) -> tuple[Group, ...]:
    """Group the rows of each run into comparable cases; only scenarios with `metric`, or all."""
    return _grouped("group", runs, _conditions, metric)


def families(runs: Sequence[LoadedRun], metric: str | None = None) -> tuple[Group, ...]:
    """Like `groups`, but cases that differ only in batch stay together."""
    return _grouped("family", runs, _conditions_but_batch, metric)


def networks(runs: Iterable[LoadedRun]) -> tuple[tuple[str, str], ...]:
    """Every (model, variant) that was planned or run, in display order."""
    cases = [case for run in runs for case in (*run.header.plan, *(row.case for row in run.rows))]
    return tuple(sorted({(case.model, case.variant) for case in cases}, key=_network_order))


def network_title(model: str, variant: str) -> str:
    """`Xception` or `Xception, narrow`"""
    return words.name(model) if variant == "default" else f"{words.name(model)}, {variant.replace('_', ' ')}"


def recipe_order(recipe: str) -> tuple[int, str]:
    """Sort key of recipes: display order, unknown ones last."""
    return _place(RECIPE_ORDER, recipe)


def framework_order(framework: str) -> tuple[int, str]:
    """Sort key of frameworks: display order, third-party implementations next, unknown ones last."""
    return _place(tuple(IMPLEMENTATIONS), framework)


def case_words(case: Case) -> str:
    """`JAX tuned, Xception`"""
    return f"{words.name(case.framework)} {words.name(case.recipe)}, {network_title(case.model, case.variant)}"


def _grouped(
    name: str, runs: Sequence[LoadedRun], key: Callable[[Row], tuple[object, ...]], metric: str | None
) -> tuple[Group, ...]:
    found: list[Group] = []
    for run in runs:
        for rows in _split(run.rows, key):
            scenario = rows[0].case.scenario
            if metric is None or metric in described(scenario).metrics:
                found.append(Group(f"{name}-{scenario}-{len(found) + 1}", run, rows[0].case, _panels(rows)))
    return tuple(found)


def _conditions(row: Row) -> tuple[object, ...]:
    return (*_conditions_but_batch(row), row.case.batch)


def _conditions_but_batch(row: Row) -> tuple[object, ...]:
    c = row.case
    return (c.task, c.scenario, c.precision, c.device, c.weights, c.images, c.seed, c.latency_bound_s)


def _panels(rows: Sequence[Row]) -> tuple[Panel, ...]:
    parts = _split(rows, lambda row: (row.case.model, row.case.variant, row.case.resolution))
    panels = [
        Panel(part[0].case.model, part[0].case.variant, part[0].case.resolution, tuple(sorted(part, key=_row_order)))
        for part in parts
    ]
    return tuple(sorted(panels, key=lambda p: (*_network_order((p.model, p.variant)), p.resolution)))


def _split(rows: Sequence[Row], key: Callable[[Row], tuple[object, ...]]) -> list[list[Row]]:
    parts: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return list(parts.values())


def _row_order(row: Row) -> tuple[int, str, int, str, int]:
    return (*recipe_order(row.case.recipe), *framework_order(row.case.framework), row.case.batch)


def _network_order(network: tuple[str, str]) -> tuple[int, str, bool, str]:
    model, variant = network
    return (*_place(MODEL_ORDER, model), variant != "default", variant)


def _place(order: tuple[str, ...], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
