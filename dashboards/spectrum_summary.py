"""A summary of a spectrum run as Markdown: printed, or embedded between the two markers of a document.

    python -m dashboards.spectrum_summary RUN docs/networks.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from dashboards import words
from dashboards.headline import conditions, footnotes, print_or_embed
from dashboards.runs import LoadedRun
from xibench.analysis.spectrum import Curve, Point, curves, label, position
from xibench.analysis.spectrum_text import WIDTHS_TEXT, finding
from xibench.errors import InputError
from xibench.record import format as fmt
from xibench.record import marks

NAME: Final = "spectrum"


def summary(run: LoadedRun) -> str:
    """One table and the findings for each way of choosing widths, then the run's conditions.

    Raises:
        InputError: the run contains no spectrum curve.
    """
    found = [c for c in curves([row.record for row in run.rows], run.calibration) if len(c.measured) > 1]
    if not found:
        raise InputError(
            f"run {run.header.run_id} contains no spectrum curve, expected a network measured at two or more numbers "
            "of segments; measure one with `xibench spectrum`"
        )
    setups = dict.fromkeys(map(_setup, found))
    parts = [_part(setup, [curve for curve in found if _setup(curve) == setup]) for setup in setups]
    shown = {point.record.case for curve in found for point in curve.points}
    notes = footnotes([row for row in run.rows if row.case in shown])[1:]
    return "\n\n".join([*parts, *notes, conditions(run)])


def _setup(curve: Curve) -> str:
    case, way = curve.case, WIDTHS_TEXT[curve.widths]
    device = words.name(case.device)
    return f"{way[0].upper()}{way[1:]}, batch {case.batch}, {case.precision}, {case.resolution} px, {device}"


def _part(setup: str, found: Sequence[Curve]) -> str:
    """The curves of one setup: a table, then one finding per curve."""
    findings = "\n".join(f"- {finding(curve, _name(curve))}" for curve in found)
    return f"{_table(setup, found)}\n\n{findings}"


def _table(setup: str, found: Sequence[Curve]) -> str:
    lines = [
        f"{setup}: images per second, median [95 % interval], attained fraction of the roofline",
        "",
        f"| g | parameters | multiply-adds | {' | '.join(map(_name, found))} |",
        f"|---|--:|--:|{'--:|' * len(found)}",
    ]
    members = {point.member.segments: point.member for curve in found for point in curve.points}
    for segments in sorted(members, key=position):
        cells = [_cell(next((p for p in curve.points if p.member.segments == segments), None)) for curve in found]
        member = members[segments]
        costs = f"{fmt.millions(member.parameters_trainable)} | {fmt.number(member.macs / 1e9)} G"
        lines.append(f"| {label(segments)} | {costs} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(point: Point | None) -> str:
    rate = point.throughput.images_per_s if point else None
    if point is None or rate is None:
        return fmt.NONE if point is None else words.status(point.throughput.status)
    share = point.throughput.attained
    figure = fmt.estimate(rate) + ("" if share is None else f", {fmt.percentage(100 * share)}")
    return marks.shown(figure, point.throughput) + marks.marks_of(point.throughput).replace(" ", "")


def _name(curve: Curve) -> str:
    return f"{words.name(curve.case.framework)} {words.name(curve.case.recipe)}"


if __name__ == "__main__":
    raise SystemExit(print_or_embed(tuple(sys.argv[1:]), NAME, summary))
