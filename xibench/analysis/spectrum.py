"""The spectrum as a question: what happens along the number of segments, from a regular convolution to a depthwise.

Two ways to go along it. At the paper's widths fewer segments cost more parameters and multiply-adds. At equal
parameters every network is made narrower, by one factor for all its widths, until it has as many as the depthwise one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

from frameworks.architectures import MODELS, network
from frameworks.cost import cost
from frameworks.errors import InvalidConfiguration, UnknownName
from xibench.errors import UsageError
from xibench.measure import comparing
from xibench.measure.comparing import Ratio
from xibench.record.schema import Calibration, Case, Record, SamplingConfig
from xibench.record.summary import Summary, summarise
from xibench.run.plan import Selection, all_cases
from xibench.scenarios import OFFLINE, SINGLE_STREAM

Widths = Literal["paper", "equal"]
WAYS: Final[tuple[Widths, ...]] = ("paper", "equal")
MODEL: Final = "xception"
EXTREME: Final = 0  # the configuration's word for one segment per channel
SEGMENTS: Final = (1, 2, 3, 4, 8, EXTREME)
PREFIX: Final = "segments_"
AGREE: Final = 0.01  # equal parameters: within this share
MIN_POINTS: Final = 3  # fewer make no curve
NOTABLE: Final = 0.9  # a step that keeps less of the attained fraction is told
RULE: Final = SamplingConfig(
    processes=3, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3, max_steps=100, budget_s=5.0,
    time_limit_s=300.0,
)  # fmt: skip
COUNTED_AT: Final = 71  # pixels; parameters do not depend on them


@dataclass(frozen=True, slots=True)
class Member:
    """One network of the spectrum. segments: EXTREME is one per channel. width: the factor of all widths.

    macs: of one picture, at the resolution that was measured, or the network's own.
    """

    segments: int
    widths: Widths
    width: float
    variant: str
    parameters_trainable: int
    macs: int


@dataclass(frozen=True, slots=True)
class Point:
    """A member as it was measured: whole batches, and one image at a time (None where a run lacks it)."""

    member: Member
    record: Record
    throughput: Summary
    alone: Record | None
    latency: Summary | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One framework and recipe along the spectrum, the fewest segments first. case: of its first point."""

    case: Case
    widths: Widths
    points: tuple[Point, ...]

    @property
    def measured(self) -> tuple[Point, ...]:
        """Points that have a throughput."""
        return tuple(point for point in self.points if point.throughput.images_per_s)


@dataclass(frozen=True, slots=True)
class Transition:
    """From one member to another: how much less work, how much faster, what is kept of the attained fraction.

    work: multiply-adds of `before` over those of `after`. faster: throughput of `after` over that of `before`, with its
    95 % interval where both have several processes. kept: attained fraction of `after` over that of `before`.
    """

    before: Member
    after: Member
    work: float
    faster: Ratio
    kept: float | None


def label(segments: int) -> str:
    """`3`, or `C` for one segment per channel."""
    return "C" if segments == EXTREME else str(segments)


def members(ways: Iterable[Widths] = WAYS, segments: Sequence[int] = SEGMENTS) -> tuple[Member, ...]:
    """The networks of the spectrum; the depthwise one stands in either way and is the same network.

    Raises InvalidConfiguration for a number of segments that cannot split the narrowest width, or for which no
    narrower network has the depthwise one's parameters.
    """
    return tuple(_member(g, way) for way in ways for g in segments)


def plan_spectrum(
    chosen: Selection, ways: Sequence[str] | None = None, segments: Sequence[int] | None = None
) -> tuple[Case, ...]:
    """The cases of a spectrum.

    Args:
        chosen: frameworks, recipes, precisions, batches, resolutions, device and the rest.
        ways: of widths, `paper` or `equal`; None: both.
        segments: numbers of segments, EXTREME for one per channel; None: SEGMENTS.

    Raises:
        UnknownName: a way of widths that does not exist.
        UsageError: fewer numbers of segments than make a curve.
        InvalidConfiguration: as `members` does; and whatever `plan.cases` raises.
    """
    known: dict[str, Widths] = {way: way for way in WAYS}
    for way in ways or ():
        if way not in known:
            raise UnknownName("way of widths", way, known)
    found = members([known[way] for way in ways or WAYS], segments or SEGMENTS)
    asked = dict.fromkeys(label(member.segments) for member in found)
    if len(asked) < MIN_POINTS:
        raise UsageError(
            f"segments: received {', '.join(asked)}, expected at least {MIN_POINTS} numbers, which make a curve; "
            "`xibench run --variant` measures single networks"
        )
    return all_cases(selections(chosen, found))


def selections(chosen: Selection, found: Sequence[Member]) -> tuple[Selection, Selection]:
    """What measures these networks: throughput of whole batches, latency of one image at a time.

    chosen: frameworks, recipes, precisions, batches, resolutions, device and the rest.
    """
    variants = tuple(dict.fromkeys(member.variant for member in found))
    offline = replace(chosen, models=(MODEL,), variants=variants, scenarios=(OFFLINE.name,))
    return offline, replace(offline, scenarios=(SINGLE_STREAM.name,), batches=None)


def curves(found: Sequence[Record], calibration: Calibration | None = None) -> list[Curve]:
    """The curves that a run's records hold: at least MIN_POINTS numbers of segments of one framework, recipe, batch.

    calibration: the run's, for its attained fractions.
    """
    members_of = {r.case: _read(r.case.variant, r.case.resolution) for r in found if r.case.model == MODEL}
    records = [record for record in found if members_of.get(record.case)]
    alone = {(_setup(r.case), r.case.variant): r for r in records if r.case.scenario == SINGLE_STREAM.name}
    series: dict[tuple[tuple[object, ...], int, Widths], list[Point]] = {}
    for record in records:
        case = record.case
        for member in members_of[case] if case.scenario == OFFLINE.name else ():
            one = alone.get((_setup(case), case.variant))
            latency = summarise(one, calibration) if one else None
            point = Point(member, record, summarise(record, calibration), one, latency)
            series.setdefault((_setup(case), case.batch, member.widths), []).append(point)
    ordered = [tuple(sorted(points, key=lambda p: position(p.member.segments))) for points in series.values()]
    return [
        Curve(points[0].record.case, points[0].member.widths, points)
        for points in ordered
        if len({point.member.segments for point in points}) >= MIN_POINTS
    ]


def transitions(curve: Curve) -> list[Transition]:
    """From each measured member of a curve to the next one."""
    return [transition(*pair) for pair in zip(curve.measured, curve.measured[1:], strict=False)]


def transition(before: Point, after: Point) -> Transition:
    """From one measured point of a curve to another."""
    base, new = (_samples(point) for point in (after, before))  # time of the one before over that of the one after
    attained = before.throughput.attained, after.throughput.attained
    kept = attained[1] / attained[0] if attained[0] and attained[1] else None
    ratio = comparing.unpaired_ratio(base, new, before.record.case.seed)
    return Transition(before.member, after.member, before.member.macs / after.member.macs, ratio, kept)


def falls_off(curve: Curve) -> Transition | None:
    """Where the framework's grouped convolution falls off: the step that keeps least of the attained fraction.

    None if every step keeps at least NOTABLE of it, or the run has no ceilings.
    """
    worst = min(transitions(curve), key=lambda s: math.inf if s.kept is None else s.kept, default=None)
    return worst if worst and worst.kept is not None and worst.kept < NOTABLE else None


@cache
def equal_width(segments: int) -> float:
    """The factor of all widths at which the network has as many parameters as the depthwise one, within AGREE.

    Widths are multiples of 8, so that parameters go in steps: the nearest factor of a grid of 0.0005 is taken.
    Raises InvalidConfiguration if none agrees.
    """
    wanted = _parameters(EXTREME, 1.0)
    low, high = 0.05, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if _parameters(segments, middle) > wanted else (middle, high)
    grid = [round(round(low, 3) + i * 5e-4, 4) for i in range(-20, 21)]
    nearest = min(grid, key=lambda width: abs(_parameters(segments, width) - wanted))
    if not agree(_parameters(segments, nearest), wanted):
        raise InvalidConfiguration(
            f"segments is {segments}: no factor of all widths gives the {wanted:,} parameters of one segment a channel "
            f"within {AGREE:.0%}; expected other segments, or --widths paper alone"
        )
    return nearest


def agree(parameters: int, wanted: int) -> bool:
    """Whether two counts of parameters are equal within AGREE."""
    return abs(parameters - wanted) <= AGREE * wanted


@cache
def _parameters(segments: int, width: float) -> int:
    """Trainable parameters; none of a network that is too narrow for its segments."""
    try:
        return cost(network(MODEL, segments=segments, width=width, resolution=COUNTED_AT)).parameters_trainable
    except InvalidConfiguration:
        return 0


def _member(segments: int, way: Widths) -> Member:
    name = "default" if segments == EXTREME else f"{PREFIX}{segments}"
    if name not in MODELS[MODEL].variants:
        name = f"segments={segments}"
    if way == "paper" or segments == EXTREME:
        return _described(segments, way, 1.0, name)
    network(MODEL, name)  # raises for segments that no width splits
    width = equal_width(segments)
    return _described(segments, way, width, f"{name}+width={width:g}")


def _read(variant: str, resolution: int) -> tuple[Member, ...]:
    """The members that a variant is: none, one, or the depthwise network in both ways.

    A narrowed one is a member if its parameters are those of the depthwise network. A variant that cannot be built,
    as a run file of another version may have one, is none.
    """
    try:
        return _members_that(variant, resolution)
    except ValueError:
        return ()


def _members_that(variant: str, resolution: int) -> tuple[Member, ...]:
    segments, width = EXTREME, 1.0
    for part in variant.split("+"):
        name, _, value = part.partition("=")
        if name == "width":
            width = float(value)
        elif name == "segments":
            segments = int(value)
        elif part.startswith(PREFIX):
            segments = int(part.removeprefix(PREFIX))
        elif part != "default":
            return ()
    if segments == EXTREME:
        return tuple(_described(segments, way, width, variant, resolution) for way in WAYS if width == 1)
    member = _described(segments, "paper" if width == 1 else "equal", width, variant, resolution)
    if member.widths == "equal" and not agree(member.parameters_trainable, _parameters(EXTREME, 1.0)):
        return ()
    return (member,)


def _described(segments: int, way: Widths, width: float, variant: str, resolution: int | None = None) -> Member:
    costs = cost(network(MODEL, variant), resolution=resolution)
    return Member(segments, way, width, variant, costs.parameters_trainable, costs.macs)


def _setup(case: Case) -> tuple[object, ...]:
    return case.framework, case.recipe, case.precision, case.resolution, case.device


def position(segments: int) -> float:
    """Where a number of segments stands along the spectrum: one per channel comes last."""
    return math.inf if segments == EXTREME else segments


def _samples(point: Point) -> list[list[float]]:
    return [process.steps_s for process in point.record.processes if process.steps_s]
