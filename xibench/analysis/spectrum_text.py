"""Findings about a curve of the spectrum as sentences, for the command's output and for the site."""

from __future__ import annotations

from typing import Any, Final

from frameworks.architectures import network
from frameworks.blueprint import Slice, infer_shapes
from xibench.analysis.spectrum import (
    MODEL,
    Curve,
    Member,
    Point,
    Transition,
    label,
    largest_drop,
    transition,
    transitions,
)
from xibench.run.ceilings import NO_CEILINGS

WIDTHS_TEXT: Final = {"paper": "at the paper's widths", "equal": "at equal parameters"}


def finding(curve: Curve, name: str) -> str:
    """Describe the change from one end of a curve to the other, and the largest drop of the attained fraction.

    Args:
        curve: A curve with at least two measured points.
        name: The framework and recipe, as shown to users.
    """
    aside = [label(point.member.segments) for point in curve.measured if point.throughput.bracketed]
    beyond = f" Not ranked, because others took too much of the cores: g = {', '.join(aside)}." if aside else ""
    if len(curve.ranked) < 2:
        return f"{name} {WIDTHS_TEXT[curve.widths]}: fewer than two figures are ranked.{beyond}"
    ends = transition(curve.ranked[0], curve.ranked[-1])
    text = (
        f"{name} {WIDTHS_TEXT[curve.widths]}: from g = {label(ends.before.segments)} to g = "
        f"{label(ends.after.segments)} {_work(ends)} and {_speed(ends)}"
    )
    if ends.attained_ratio is not None:
        text += f", which keeps {100 * ends.attained_ratio:.0f} % of the attained fraction"
    drop = largest_drop(curve)
    if drop is None:
        reason = no_drop_reason(curve)
        return f"{text}. {reason[0].upper()}{reason[1:]}.{beyond}"
    form = ", whose segments are convolutions on slices" if in_slices(drop.after) else ""
    return (
        f"{text}. It falls off most from g = {label(drop.before.segments)} to g = {label(drop.after.segments)}{form}: "
        f"{_work(drop)}, and {_speed(drop)}.{beyond}"
    )


def in_slices(member: Member) -> bool:
    """Return whether a network has segments of different sizes, which are convolutions on slices, not grouped ones."""
    return any(isinstance(instance.layer, Slice) for instance in infer_shapes(network(MODEL, member.variant)))


def no_drop_reason(curve: Curve) -> str:
    """Return why a curve has no largest drop: its attained fraction is unknown, or it never drops by much."""
    if len(curve.measured) < 2:
        return "fewer than two of its networks were measured"
    if any(found.attained_ratio is not None for found in transitions(curve)):
        return "no step along g reduces the attained fraction by more than a tenth"
    reason = curve.measured[0].throughput.absent.get("attained", NO_CEILINGS)
    return f"the attained fraction is unknown: {reason}"


def document(curve: Curve) -> dict[str, Any]:
    """Build the document of `xibench spectrum --json` for a curve: its finding, points, and steps between them."""
    drop = largest_drop(curve)
    name = f"{curve.case.framework} {curve.case.recipe}"
    return {
        "case": curve.case,
        "widths": curve.widths,
        "finding": finding(curve, name) if len(curve.measured) > 1 else None,
        "falls_off": drop and {"from": label(drop.before.segments), "to": label(drop.after.segments)},
        "falls_off_reason": None if drop else no_drop_reason(curve),
        "points": [_point(point) for point in curve.points],
        "steps": [
            {
                "from": label(step.before.segments), "to": label(step.after.segments), "work": step.work_ratio,
                "faster": step.speedup, "kept": step.attained_ratio,
            }
            for step in transitions(curve)
        ],
    }  # fmt: skip


def _point(point: Point) -> dict[str, Any]:
    member, throughput = point.member, point.throughput
    return {
        "segments": label(member.segments), "variant": member.variant, "width": member.width,
        "parameters_trainable": member.parameters_trainable, "macs": member.macs,
        "images_per_s": throughput.images_per_s, "attained": throughput.attained,
        "peak_bytes": throughput.peak_bytes, "device_peak_bytes": throughput.device_peak_bytes,
        "latency_s": point.latency.latency if point.latency else {},
        "status": throughput.status, "reason": throughput.reason,
        "disturbed": throughput.disturbed, "unsteady": throughput.unsteady,
        "substitutions": throughput.substitutions,
    }  # fmt: skip


def _work(found: Transition) -> str:
    ratio = found.work_ratio
    if 1 / 1.02 < ratio < 1.02:
        return "multiply-adds stay the same"
    return f"multiply-adds fall {ratio:.3g}-fold" if ratio > 1 else f"multiply-adds grow {1 / ratio:.3g}-fold"


def _speed(found: Transition) -> str:
    ratio = found.speedup
    bounds = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.3g}, {ratio.high:.3g}]"
    return f"throughput is {ratio.ratio:.3g} times{bounds} what it was"
