"""Runs as the pages look at them: rows that may be compared, under the conditions that they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboards import format as fmt
from xibench.errors import StoreError
from xibench.record.schema import Case, Header, Process, Record
from xibench.record.store import read
from xibench.record.summary import Summary, summarise

FRAMEWORK_ORDER = ("pytorch", "tensorflow", "jax")
RECIPE_ORDER = ("default", "compiled", "tuned")
MODEL_ORDER = ("xception", "inception_v3")


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
        return self.summary.step_s is not None

    @property
    def process(self) -> Process:
        """The first process; only rows that are ok have one."""
        return self.record.processes[0]

    @property
    def framework(self) -> str:
        """The framework's name."""
        return fmt.name(self.case.framework)

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return fmt.name(self.case.recipe)

    @property
    def label(self) -> str:
        """`PyTorch tuned`, with † where something else ran than was wanted."""
        return f"{self.framework} {self.recipe}{self.mark}"

    @property
    def mark(self) -> str:
        """† if something was substituted."""
        return "†" if self.summary.substitutions else ""


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
    cut_line: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one run that differ in nothing but framework, recipe and network."""

    key: str
    run: LoadedRun
    case: Case  # any of them: its task, scenario, precision, batch and device hold for all
    panels: tuple[Panel, ...]

    @property
    def title(self) -> str:
        """`Inference, batch 8, fp32, CPU`"""
        task = {"infer": "Inference"}.get(self.case.task, self.case.task)
        return f"{task}, batch {self.case.batch}, {self.case.precision}, {fmt.name(self.case.device)}"

    @property
    def subtitle(self) -> str:
        """`Run 1234, 2026-01-01 12:00 UTC`"""
        return f"Run {self.run.header.run_id}, {fmt.moment(self.run.header.created_utc)}"

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
    rows = tuple(Row(record, summarise(record)) for record in run.records)
    done = {row.case for row in rows}
    return LoadedRun(
        name=path.name,
        digest=hashlib.sha256(content).hexdigest(),
        content=content,
        header=run.header,
        rows=rows,
        missing=tuple(case for case in run.header.plan if case not in done),
        cut_line=run.cut_line,
    )


def groups(runs: Sequence[LoadedRun]) -> tuple[Group, ...]:
    """Every run's rows, split into what may be compared."""
    found: list[Group] = []
    for run in runs:
        for rows in _split(run.rows, _conditions):
            found.append(Group(f"group{len(found) + 1}", run, rows[0].case, _panels(rows)))
    return tuple(found)


def networks(runs: Iterable[LoadedRun]) -> tuple[tuple[str, str], ...]:
    """Every (model, variant) that was planned or run, in the order in which networks are always shown."""
    cases = [case for run in runs for case in (*run.header.plan, *(row.case for row in run.rows))]
    return tuple(sorted({(case.model, case.variant) for case in cases}, key=_network_order))


def network_title(model: str, variant: str) -> str:
    """`Xception` or `Xception, narrow`"""
    return fmt.name(model) if variant == "default" else f"{fmt.name(model)}, {variant.replace('_', ' ')}"


def recipe_order(recipe: str) -> tuple[int, str]:
    """Sorts recipes from the plainest to the most elaborate, unknown ones last."""
    return _place(RECIPE_ORDER, recipe)


def case_words(case: Case) -> str:
    """`JAX tuned, Xception`"""
    return f"{fmt.name(case.framework)} {fmt.name(case.recipe)}, {network_title(case.model, case.variant)}"


def _conditions(row: Row) -> tuple[object, ...]:
    c = row.case
    return (c.task, c.scenario, c.precision, c.batch, c.device, c.weights, c.images, c.seed)


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


def _row_order(row: Row) -> tuple[int, str, int, str]:
    return (*recipe_order(row.case.recipe), *_place(FRAMEWORK_ORDER, row.case.framework))


def _network_order(network: tuple[str, str]) -> tuple[int, str, bool, str]:
    model, variant = network
    return (*_place(MODEL_ORDER, model), variant != "default", variant)


def _place(order: tuple[str, ...], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
