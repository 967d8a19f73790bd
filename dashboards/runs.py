"""Runs as the pages look at them: rows that may be compared, under the conditions that they share."""

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
from xibench.record.schema import Attempt, Calibration, Case, Header, Process, Record
from xibench.record.store import read
from xibench.record.summary import Summary, summarise
from xibench.scenarios import Scenario, described, qualifier

RECIPE_ORDER: Final = ("default", "compiled", "tuned")
MODEL_ORDER: Final = ("xception", "inception_v3", "resnet50", "resnet101", "resnet152", "vgg16")


@dataclass(frozen=True, slots=True)
class Row:
    """One case's record with its figures."""

    record: Record
    summary: Summary

    @property
    def case(self) -> Case:
        """What was run."""
        return self.record.case

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return bool(self.record.processes)

    @property
    def process(self) -> Process:
        """The first process; only rows that are ok have one."""
        return self.record.processes[0]

    @property
    def framework(self) -> str:
        """The framework's name."""
        return words.name(self.case.framework)

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return words.name(self.case.recipe)

    @property
    def label(self) -> str:
        """`PyTorch tuned` with its marks."""
        return f"{self.framework} {self.recipe}{self.mark}"

    @property
    def mark(self) -> str:
        """† if something was substituted, ‡ if a process that counts was disturbed, § if a warm-up was cut off,
        ¶ if the time limit ended the sampling.
        """
        marks = (
            ("†", self.summary.substitutions), ("‡", self.summary.disturbed), ("§", self.unsteady),
            ("¶", self.summary.cut_short),
        )  # fmt: skip
        return "".join(mark for mark, stands in marks if stands)

    @property
    def watched(self) -> bool:
        """Whether the surroundings of its processes were recorded; in format 1 they were not."""
        return any(attempt.surroundings for attempt in self.record.counted)

    @property
    def unsteady(self) -> int:
        """Processes whose warm-up ended at a limit, not because steps were found steady.

        0 in format 1, which looked for no trend.
        """
        return self.summary.unsteady if self.watched else 0


@dataclass(frozen=True, slots=True)
class Panel:
    """The rows of one network at one resolution, in the order frameworks and recipes are always shown."""

    model: str
    variant: str
    resolution: int
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """`Xception`; a variant other than the default is named."""
        return network_title(self.model, self.variant)

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with a result."""
        return tuple(row for row in self.rows if row.ok)


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """One run file. `missing` are cases of the plan without a record: the run was stopped before them."""

    name: str
    digest: str
    content: bytes
    header: Header
    rows: tuple[Row, ...]
    missing: tuple[Case, ...]
    calibrations: tuple[Calibration, ...]
    attempts: tuple[Attempt, ...]
    format_version: int  # of the file itself; `header` is of the current one
    cut_line: bool

    @property
    def calibration(self) -> Calibration | None:
        """Ceilings and idle power as measured last; None if they were not."""
        return self.calibrations[-1] if self.calibrations else None

    @property
    def short(self) -> str:
        """The start of its name."""
        return self.header.run_id[:8]

    @property
    def anchor(self) -> str:
        """A name for it in addresses."""
        return self.digest[:12]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one run that differ in nothing but framework, recipe and network; of a family in the batch too."""

    key: str
    run: LoadedRun
    case: Case  # any of them: its task, scenario, precision and device hold for all
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
        """The scenario of all its cases."""
        return described(self.case.scenario)

    @property
    def _batch(self) -> str:
        batches = self.batches
        return f"batch {batches[0]}" if len(batches) == 1 else f"batch {batches[0]} to {batches[-1]}"

    @property
    def batches(self) -> tuple[int, ...]:
        """Every batch of its rows, the smallest first."""
        return tuple(sorted({row.case.batch for row in self.rows}))

    @property
    def subtitle(self) -> str:
        """`Run 1234, 2026-01-01 12:00 UTC`"""
        return f"Run {self.run.header.run_id}, {words.moment(self.run.header.created_utc)}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every panel's rows."""
        return tuple(row for panel in self.panels for row in panel.rows)

    @property
    def measured(self) -> tuple[Row, ...]:
        """Rows with a result."""
        return tuple(row for row in self.rows if row.ok)


def load(path: Path) -> LoadedRun:
    """Reads one run file. Raises StoreError (NewerFormat for a newer one) if it cannot be read."""
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
    """Every run's rows, split into what may be compared; of the scenarios that give a metric, or of all."""
    return _grouped("group", runs, _conditions, metric)


def families(runs: Sequence[LoadedRun], metric: str | None = None) -> tuple[Group, ...]:
    """As `groups`, but the batches of a series stay together."""
    return _grouped("family", runs, _conditions_but_batch, metric)


def networks(runs: Iterable[LoadedRun]) -> tuple[tuple[str, str], ...]:
    """Every (model, variant) that was planned or run, in the order in which networks are always shown."""
    cases = [case for run in runs for case in (*run.header.plan, *(row.case for row in run.rows))]
    return tuple(sorted({(case.model, case.variant) for case in cases}, key=_network_order))


def network_title(model: str, variant: str) -> str:
    """`Xception` or `Xception, narrow`"""
    return words.name(model) if variant == "default" else f"{words.name(model)}, {variant.replace('_', ' ')}"


def recipe_order(recipe: str) -> tuple[int, str]:
    """Sorts recipes from the plainest to the most elaborate, unknown ones last."""
    return _place(RECIPE_ORDER, recipe)


def framework_order(framework: str) -> tuple[int, str]:
    """Sorts frameworks as they stand side by side, then third-party implementations, unknown ones last."""
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
