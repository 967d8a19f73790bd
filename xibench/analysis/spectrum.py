"""The spectrum from regular to depthwise separable convolutions: Xception with different numbers of segments.

There are two series. At the paper's widths, networks with fewer segments have more parameters and multiply-adds. At
equal parameters, all widths of a network are multiplied by one factor, so that it has as many parameters as the network
with one segment per channel.
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
from xibench.run.plan import Selection, cases
from xibench.scenarios import OFFLINE, SINGLE_STREAM

Widths = Literal["paper", "equal"]
WIDTHS: Final[tuple[Widths, ...]] = ("paper", "equal")
MODEL: Final = "xception"
EXTREME: Final = 0  # value of `segments` in the network's configuration that means one segment per channel
SEGMENTS: Final = (1, 2, 3, 4, 8, EXTREME)
PREFIX: Final = "segments_"  # of the registered variants
PARAMETER_TOLERANCE: Final = 0.01  # relative difference up to which numbers of parameters count as equal
MIN_POINTS: Final = 3  # two points are not a curve
MAX_ATTAINED_RATIO: Final = 0.9  # a transition is a drop if its ratio of attained fractions is below this
SAMPLING: Final = SamplingConfig(
    processes=3, warmup_steps=1, max_warmup_steps=20, warmup_budget_s=6.0, min_steps=3, max_steps=100, budget_s=5.0,
    time_limit_s=300.0,
)  # fmt: skip
COUNTED_AT: Final = 71  # resolution in pixels at which parameters are counted; they do not depend on it


@dataclass(frozen=True, slots=True)
class Member:
    """One network of the spectrum.

    Attributes:
        segments: Number of segments; EXTREME for one per channel.
        widths: The series that the network belongs to.
        width: Factor by which all widths of the paper are multiplied.
        variant: Variant of Xception that describes the network.
        parameters_trainable: Trainable parameters.
        macs: Multiply-adds of one image at the measured resolution, or at the network's own if none was measured.
    """

    segments: int
    widths: Widths
    width: float
    variant: str
    parameters_trainable: int
    macs: int


@dataclass(frozen=True, slots=True)
class Point:
    """The measurements of one network of the spectrum."""

    member: Member
    record: Record  # scenario offline
    throughput: Summary  # summary of `record`
    single_stream: Record | None  # scenario single-stream; None if the run has none for this network
    latency: Summary | None  # summary of `single_stream`


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one framework, recipe and series, from the fewest segments to one per channel."""

    case: Case  # of the first point
    widths: Widths
    points: tuple[Point, ...]

    @property
    def measured(self) -> tuple[Point, ...]:
        """The points that have a throughput."""
        return tuple(point for point in self.points if point.throughput.images_per_s)

    @property
    def ranked(self) -> tuple[Point, ...]:
        """The points from whose throughput something can be concluded: it is not in parentheses."""
        return tuple(point for point in self.measured if not point.throughput.bracketed)


@dataclass(frozen=True, slots=True)
class Transition:
    """The change from one point of a curve to another.

    Attributes:
        before: The network with fewer segments.
        after: The network with more segments.
        work_ratio: Multiply-adds of `before` over those of `after`.
        speedup: Throughput of `after` over that of `before`, with its 95 % interval if both have several processes.
        attained_ratio: Attained fraction of `after` over that of `before`; None without ceilings.
    """

    before: Member
    after: Member
    work_ratio: float
    speedup: Ratio
    attained_ratio: float | None


def label(segments: int) -> str:
    """Return the label of a number of segments: `3`, or `C` for one segment per channel."""
    return "C" if segments == EXTREME else str(segments)


def members(series: Iterable[Widths] = WIDTHS, segments: Sequence[int] = SEGMENTS) -> tuple[Member, ...]:
    """Build the networks of the spectrum. The one with one segment per channel is the same network in both series.

    Args:
        series: The series: at the paper's widths, at equal parameters.
        segments: Numbers of segments, EXTREME for one per channel.

    Raises:
        InvalidConfiguration: A number of segments cannot split the narrowest width, or no factor of the widths gives
            the number of parameters.
    """
    return tuple(_member(g, widths) for widths in series for g in segments)


def plan_spectrum(
    chosen: Selection, series: Sequence[str] | None = None, segments: Sequence[int] | None = None
) -> tuple[Case, ...]:
    """Plan the cases of a spectrum.

    Args:
        chosen: Frameworks, recipes, precisions, batches, resolutions, device and the remaining settings.
        series: Which widths: `paper`, `equal` or both; None for both.
        segments: Numbers of segments, EXTREME for one per channel; None for SEGMENTS.

    Raises:
        UnknownName: A series does not exist.
        UsageError: There are fewer than MIN_POINTS different numbers of segments.
        InvalidConfiguration: As `members` and `plan.cases` raise it.
    """
    known: dict[str, Widths] = {widths: widths for widths in WIDTHS}
    for widths in series or ():
        if widths not in known:
            raise UnknownName("widths", widths, known)
    found = members([known[widths] for widths in series or WIDTHS], segments or SEGMENTS)
    labels = dict.fromkeys(label(member.segments) for member in found)
    if len(labels) < MIN_POINTS:
        raise UsageError(
            f"segments: received {', '.join(labels)}, expected at least {MIN_POINTS} numbers for a curve; "
            "`xibench run --variant` measures single networks"
        )
    return cases(*selections(chosen, found))


def selections(chosen: Selection, found: Sequence[Member]) -> tuple[Selection, Selection]:
    """Return the selections that measure networks: throughput of whole batches, and latency of single images.

    Args:
        chosen: Frameworks, recipes, precisions, batches, resolutions, device and the remaining settings.
        found: The networks.
    """
    variants = tuple(dict.fromkeys(member.variant for member in found))
    offline = replace(chosen, models=(MODEL,), variants=variants, scenarios=(OFFLINE.name,))
    return offline, replace(offline, scenarios=(SINGLE_STREAM.name,), batches=None)


def curves(found: Sequence[Record], calibration: Calibration | None = None) -> list[Curve]:
    """Find the curves of a run: at least MIN_POINTS numbers of segments in one framework, recipe and batch.

    Args:
        found: The run's records.
        calibration: The run's measured ceilings, from which attained fractions are derived.
    """
    members_of = {r.case: _members_of(r.case.variant, r.case.resolution) for r in found if r.case.model == MODEL}
    records = [record for record in found if members_of.get(record.case)]
    single_streams = {(_setup(r.case), r.case.variant): r for r in records if r.case.scenario == SINGLE_STREAM.name}

    # Group the offline records by setup, batch and series, each with the latency of the same network.
    series: dict[tuple[tuple[object, ...], int, Widths], list[Point]] = {}
    for record in records:
        case = record.case
        for member in members_of[case] if case.scenario == OFFLINE.name else ():
            single_stream = single_streams.get((_setup(case), case.variant))
            latency = summarise(single_stream, calibration) if single_stream else None
            point = Point(member, record, summarise(record, calibration), single_stream, latency)
            series.setdefault((_setup(case), case.batch, member.widths), []).append(point)

    ordered = [tuple(sorted(points, key=lambda p: position(p.member.segments))) for points in series.values()]
    return [
        Curve(points[0].record.case, points[0].member.widths, points)
        for points in ordered
        if len({point.member.segments for point in points}) >= MIN_POINTS
    ]


def transitions(curve: Curve) -> list[Transition]:
    """Return the transitions from each ranked point of a curve to the next one."""
    return [transition(*pair) for pair in zip(curve.ranked, curve.ranked[1:], strict=False)]


def transition(before: Point, after: Point) -> Transition:
    """Return the transition from one measured point of a curve to another."""
    # The ratio of step times is inverted: the time of `before` over that of `after` is the speedup.
    base, new = (_samples(point) for point in (after, before))
    speedup = comparing.unpaired_ratio(base, new, before.record.case.seed)
    attained = before.throughput.attained, after.throughput.attained
    attained_ratio = attained[1] / attained[0] if attained[0] and attained[1] else None
    return Transition(before.member, after.member, before.member.macs / after.member.macs, speedup, attained_ratio)


def largest_drop(curve: Curve) -> Transition | None:
    """Find the transition in which the attained fraction drops most: where grouped convolutions become inefficient.

    Returns:
        The transition with the smallest attained_ratio. None if that is at least MAX_ATTAINED_RATIO, or if the run has
        no ceilings.
    """
    known = [(found.attained_ratio, found) for found in transitions(curve) if found.attained_ratio is not None]
    ratio, worst = min(known, key=lambda pair: pair[0], default=(math.inf, None))
    return worst if ratio < MAX_ATTAINED_RATIO else None


@cache
def equal_width(segments: int) -> float:
    """Find the factor of all widths that gives a network the parameters of the one with one segment per channel.

    Widths are rounded to multiples of 8, so that the number of parameters changes in steps. The best factor on a grid
    of 0.0005 is taken.

    Args:
        segments: Number of segments of the network.

    Raises:
        InvalidConfiguration: No factor gives the number of parameters within PARAMETER_TOLERANCE.
    """
    target = _parameters(EXTREME, 1.0)

    # Bisection finds the region, a search over the grid around it the best factor.
    low, high = 0.05, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if _parameters(segments, middle) > target else (middle, high)
    grid = [round(round(low, 3) + i * 5e-4, 4) for i in range(-20, 21)]
    nearest = min(grid, key=lambda width: abs(_parameters(segments, width) - target))

    if not _equal(_parameters(segments, nearest), target):
        raise InvalidConfiguration(
            f"segments is {segments}: no factor of all widths gives the {target:,} parameters of one segment per "
            f"channel within {PARAMETER_TOLERANCE:.0%}; expected other segments, or --widths paper alone"
        )
    return nearest


def _equal(parameters: int, target: int) -> bool:
    return abs(parameters - target) <= PARAMETER_TOLERANCE * target


@cache
def _parameters(segments: int, width: float) -> int:
    """Count trainable parameters; 0 for a network that is too narrow for its number of segments."""
    try:
        return cost(network(MODEL, segments=segments, width=width, resolution=COUNTED_AT)).parameters_trainable
    except InvalidConfiguration:
        return 0


def _member(segments: int, widths: Widths) -> Member:
    name = "default" if segments == EXTREME else f"{PREFIX}{segments}"
    if name not in MODELS[MODEL].variants:
        name = f"segments={segments}"
    if widths == "paper" or segments == EXTREME:
        return _counted(segments, widths, 1.0, name)
    network(MODEL, name)  # raises InvalidConfiguration if the segments cannot split the narrowest width
    width = equal_width(segments)
    return _counted(segments, widths, width, f"{name}+width={width:g}")


def _members_of(variant: str, resolution: int) -> tuple[Member, ...]:
    """Return the members of the spectrum that a variant of Xception is: none, one, or the same network in both series.

    A network with other widths is a member if it has the parameters of the network with one segment per channel. A
    variant that this version cannot build, from a run file of another version, is not a member.
    """
    try:
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
            return tuple(_counted(segments, widths, width, variant, resolution) for widths in WIDTHS if width == 1)
        member = _counted(segments, "paper" if width == 1 else "equal", width, variant, resolution)
    except ValueError:
        return ()
    if member.widths == "equal" and not _equal(member.parameters_trainable, _parameters(EXTREME, 1.0)):
        return ()
    return (member,)


def _counted(segments: int, widths: Widths, width: float, variant: str, resolution: int | None = None) -> Member:
    """Return a member with its parameters and multiply-adds, at a resolution or at the network's own."""
    costs = cost(network(MODEL, variant), resolution=resolution)
    return Member(segments, widths, width, variant, costs.parameters_trainable, costs.macs)


def _setup(case: Case) -> tuple[object, ...]:
    return case.framework, case.recipe, case.precision, case.resolution, case.device


def position(segments: int) -> float:
    """Return the sort key of a number of segments along the spectrum, on which one per channel comes last."""
    return math.inf if segments == EXTREME else segments


def _samples(point: Point) -> list[list[float]]:
    return [process.steps_s for process in point.record.processes if process.steps_s]
