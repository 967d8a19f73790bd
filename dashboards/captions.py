"""What a number rests on: hardware, versions and how many samples."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import trust, words
from dashboards.runs import Group, Row
from dashboards.style import GOES_ON
from dashboards.takeaways import interval_note
from xibench.record import format as fmt
from xibench.record.schema import Environment


def hardware(environment: Environment, device: str) -> str:
    """The machine in one phrase; the GPU first where the case ran on one."""
    cores = f"{environment.cores_usable} usable of {fmt.plural(environment.cores_logical, 'logical core')}"
    host = f"{environment.processor}, {cores}, {fmt.gibibytes(environment.memory_bytes)}"
    if device != "cpu" and environment.gpus:
        names = fmt.listing(sorted({gpu.name for gpu in environment.gpus}))
        return f"{names} (driver {environment.gpus[0].driver}); {host}"
    return host


def versions(rows: Sequence[Row]) -> str:
    """Distributions as the workers saw them; several versions of one are all named."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        for process in row.record.processes:
            for distribution, version in process.versions.items():
                known = seen.setdefault(distribution, [])
                if version not in known:
                    known.append(version)
    return ", ".join(f"{distribution} {' and '.join(found)}" for distribution, found in sorted(seen.items()))


def conditions(group: Group) -> str:
    """What all rows of a group share, beyond its title."""
    c = group.case
    sizes = fmt.listing(sorted({f"{panel.resolution} px" for panel in group.panels}))
    return f"{group.title}, {sizes}, pictures: {c.images}, weights: {c.weights}, scenario: {c.scenario}"


def measured(group: Group, with_intervals: bool = True) -> tuple[str, ...]:
    """The lines that stand under a figure of measured values."""
    rows = group.measured
    environment = group.run.header.environment
    lines = [
        f"{hardware(environment, group.case.device)}. {environment.os}, {environment.kernel}.",
        f"{conditions(group)}. {trust.sampled(rows)}.",
    ]
    if rows:
        lines[1] += f" {versions(rows)}."
    lines += [*substitutions(rows), *trust.notes(rows)]
    note = interval_note(rows) if with_intervals else ""
    return (*lines, note) if note else tuple(lines)


def estimate(group: Group) -> str:
    """What a bar or a point stands for."""
    several = any(row.summary.processes > 1 for row in group.measured)
    return "geometric mean of the processes' medians" if several else "median"


def bars(group: Group, cuts: bool) -> str:
    """What bars, the lines over them and the percentages beside them are. cuts: an interval goes on beyond the axis."""
    shares = any(row.summary.attained is not None for row in group.measured)
    beside = " Percentages: attained fraction of the roofline." if shares else ""
    beyond = f" ({GOES_ON}: goes on beyond the drawing)" if cuts else ""
    return f"Bars: {estimate(group)}; lines: 95 % interval{beyond}.{beside}"


def substitutions(rows: Sequence[Row]) -> list[str]:
    """A footnote per distinct substitution, naming the cases that it holds for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for s in row.summary.substitutions:
            note = f"{s.wanted} was wanted, {s.ran} ran instead: {s.why}"
            cases = found.setdefault(note, [])
            case = f"{row.framework} {row.recipe} on {words.name(row.case.model)}"
            if case not in cases:
                cases.append(case)
    return [f"† {fmt.listing(cases)}: {note}." for note, cases in found.items()]
