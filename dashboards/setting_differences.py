"""Settings that differ: between frameworks under one recipe, or between the processes of one case."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.runs import Group, Row, recipe_order
from xibench.record.schema import Setting


@dataclass(frozen=True, slots=True)
class FrameworkDifference:
    """A setting that differs between frameworks under one recipe; values are in display order of the frameworks."""

    networks: tuple[str, ...]
    recipe: str
    setting: str
    values: tuple[tuple[str, Setting], ...]


def between_frameworks(group: Group) -> tuple[FrameworkDifference, ...]:
    """Settings that at least two frameworks report under the same name with different values."""
    found: dict[tuple[str, str, tuple[tuple[str, Setting], ...]], list[str]] = {}
    for panel in group.panels:
        for recipe in dict.fromkeys(row.case.recipe for row in panel.measured):
            rows = [row for row in panel.measured if row.case.recipe == recipe]
            for setting, values in _differing(rows):
                found.setdefault((recipe, setting, values), []).append(panel.title)
    differences = (FrameworkDifference(tuple(networks), *key) for key, networks in found.items())
    return tuple(sorted(differences, key=lambda entry: (entry.setting, recipe_order(entry.recipe))))


@dataclass(frozen=True, slots=True)
class ProcessDifference:
    """A setting that differs between the processes of one case; one value per counted process, in run order."""

    row: Row
    setting: str
    values: tuple[Setting, ...]


def between_processes(group: Group) -> tuple[ProcessDifference, ...]:
    """Settings that differ between the processes of one case."""
    return tuple(
        ProcessDifference(row, name, tuple(p.settings.get(name) for p in row.record.processes))
        for row in group.measured for name in row.summary.settings_differ
    )


def _differing(rows: list[Row]) -> list[tuple[str, tuple[tuple[str, Setting], ...]]]:
    names = dict.fromkeys(name for row in rows for name in row.process.settings)
    result = []
    for name in names:
        values = tuple((row.framework, row.process.settings[name]) for row in rows if name in row.process.settings)
        if len({(type(value), value) for _, value in values}) > 1:
            result.append((name, values))
    return result
