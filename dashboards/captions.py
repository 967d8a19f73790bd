"""Captions: the hardware, versions, sample counts and substitutions behind a figure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import trust
from dashboards.content import Note
from dashboards.runs import Group, LoadedRun, Row
from dashboards.takeaways import interval_note
from xibench.record import format as fmt
from xibench.record.marks import CONTINUES
from xibench.record.schema import Environment


def hardware(environment: Environment, device: str) -> str:
    """Describe the machine in one phrase, starting with the GPU if the case ran on one."""
    cores = f"{environment.cores_usable} usable of {fmt.plural(environment.cores_logical, 'logical core')}"
    host = f"{environment.processor}, {cores}, {fmt.gibibytes(environment.memory_bytes)}"
    if device != "cpu" and environment.gpus:
        names = fmt.listing(sorted({gpu.name for gpu in environment.gpus}))
        return f"{names} (driver {environment.gpus[0].driver}); {host}"
    return host


def versions(rows: Sequence[Row]) -> str:
    """List the distributions that the workers imported, with every version of each."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        for process in row.record.processes:
            for distribution, version in process.versions.items():
                known = seen.setdefault(distribution, [])
                if version not in known:
                    known.append(version)
    return ", ".join(f"{distribution} {' and '.join(found)}" for distribution, found in sorted(seen.items()))


def conditions(group: Group) -> str:
    """Describe the settings that all rows of a group share."""
    c = group.case
    sizes = fmt.listing(sorted({f"{panel.resolution} px" for panel in group.panels}))
    return f"{group.title}, {sizes}, images: {c.images}, weights: {c.weights}, scenario: {c.scenario}"


def measured(group: Group, with_intervals: bool = True) -> tuple[str | Note, ...]:
    """The caption lines under a figure of measured values, and the notes on it.

    Args:
        group: The cases in the figure.
        with_intervals: Whether the figure shows intervals, which the last line then explains.
    """
    rows = group.measured
    note = interval_note(rows) if with_intervals else ""
    return (
        f"{conditions(group)}. {trust.sampled(rows)}.", machine(group.run, group.case.device), *trust.notes(rows),
        *([Note(note.rstrip("."))] if note else []),
    )


def machine(run: LoadedRun, device: str) -> Note:
    """The note on the hardware, the system and the versions of a run."""
    environment = run.header.environment
    installed = versions([row for row in run.rows if row.ok])
    system = f"{environment.os}, {environment.kernel}"
    return Note(f"Run {run.short}: {hardware(environment, device)}. {system}. {installed}")


def estimate(group: Group) -> str:
    """Name the estimator behind a bar or a point."""
    several = any(row.summary.processes > 1 for row in group.measured)
    return "geometric mean of the processes' medians" if several else "median"


def bars(group: Group, cuts: bool) -> str:
    """Explain bars, error bars and percentages. cuts: whether an interval continues beyond the axis."""
    shares = any(row.summary.attained is not None for row in group.measured)
    beside = " Percentages: attained fraction of the roofline." if shares else ""
    beyond = f" ({CONTINUES.symbol}: continues beyond the axis)" if cuts else ""
    return f"Bars: {estimate(group)}; lines: 95 % interval{beyond}.{beside}"

