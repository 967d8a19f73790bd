"""What a curve of the spectrum says, in sentences: for the command's table and for the site."""

from __future__ import annotations

from typing import Any, Final

from frameworks.architectures import network
from frameworks.blueprint import Slice, infer_shapes
from xibench.analysis.spectrum import MODEL, Curve, Member, Point, Transition, falls_off, label, transition, transitions
from xibench.run.case_costs import NO_CEILINGS

WIDTHS_TEXT: Final = {"paper": "at the paper's widths", "equal": "at equal parameters"}


def finding(curve: Curve, name: str) -> str:
    """What happens from one end of the curve to the other, and where the framework falls off most.

    name: what the framework and recipe are called. Factors are rounded; an interval is told where there is one.
    """
    ends = transition(curve.measured[0], curve.measured[-1])
    text = (
        f"{name} {WIDTHS_TEXT[curve.widths]}: from g = {label(ends.before.segments)} to g = "
        f"{label(ends.after.segments)} {_work(ends)} and {_speed(ends)}{_kept(ends)}."
    )
    worst = falls_off(curve)
    if worst is None:
        return f"{text} {_no_fall(curve)}"
    return (
        f"{text} It falls off most from g = {label(worst.before.segments)} to g = {label(worst.after.segments)}"
        f"{_in_slices(worst.after)}: {_work(worst)}, and {_speed(worst)}."
    )


def in_slices(member: Member) -> bool:
    """Whether segments of unlike sizes, as convolutions on slices, stand in the network for grouped convolutions."""
    return any(isinstance(placed.layer, Slice) for placed in infer_shapes(network(MODEL, member.variant)))


def why_none(curve: Curve) -> str | None:
    """Why a curve says nothing of where it falls off, or None if it does say something."""
    if len(curve.measured) < 2:
        return "fewer than two of its networks were measured"
    if any(found.kept is not None for found in transitions(curve)):
        return None
    reason = curve.measured[0].throughput.absent.get("attained", NO_CEILINGS)
    return f"nothing can be said of what is attained: {reason}"


def document(curve: Curve) -> dict[str, Any]:
    """A curve as `xibench spectrum --json` has it: what it says, its points, and the steps between them."""
    worst = falls_off(curve)
    none = None if worst else why_none(curve) or "no step along g loses a tenth of what it attains"
    name = f"{curve.case.framework} {curve.case.recipe}"
    return {
        "case": curve.case,
        "widths": curve.widths,
        "finding": finding(curve, name) if len(curve.measured) > 1 else None,
        "falls_off": worst and {"from": label(worst.before.segments), "to": label(worst.after.segments)},
        "falls_off_reason": none,
        "points": [_point(point) for point in curve.points],
        "steps": [
            {"from": label(s.before.segments), "to": label(s.after.segments), "work": s.work, "faster": s.faster,
             "kept": s.kept}
            for s in transitions(curve)
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


def _no_fall(curve: Curve) -> str:
    reason = why_none(curve)
    return f"{reason[0].upper()}{reason[1:]}." if reason else "No step along g loses a tenth of what it attains."


def _in_slices(member: Member) -> str:
    return ", whose segments are convolutions on slices" if in_slices(member) else ""


def _work(found: Transition) -> str:
    if 1 / 1.02 < found.work < 1.02:
        return "multiply-adds stay the same"
    fall = found.work > 1
    return f"multiply-adds {'fall' if fall else 'grow'} {found.work if fall else 1 / found.work:.3g}-fold"


def _speed(found: Transition) -> str:
    ratio = found.faster
    bounds = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.3g}, {ratio.high:.3g}]"
    return f"throughput is {ratio.ratio:.3g} times{bounds} what it was"


def _kept(found: Transition) -> str:
    return "" if found.kept is None else f", which keeps {100 * found.kept:.0f} % of the attained fraction"
