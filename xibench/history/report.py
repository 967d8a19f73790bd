"""What a history says: its series, their changes, and the sentence that sums them up."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from xibench.history import changes, sources
from xibench.history.evidence import MIN_NIGHTS
from xibench.history.series import Key, Point, Series, assemble
from xibench.record.format import counted

MACHINE_SHARE: Final = 0.5  # of a machine's series: if more change on the same night, it is a machine event
MACHINE_SERIES: Final = 4  # fewer series do not show one

State = changes.State | Literal["machine event"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a series.

    Attributes:
        ratio: New level over old level: above 1 is slower, or more.
        bayes_factor: How many times as likely the points are with the change as without, when it was found.
        before, first, found: The last point of the old level, the first of the new one, and the point with which the
            change was found.
        after: Points of the new level until it was found, the first included.
        state: candidate: to be confirmed; went away: the series returned; known state: a level that it had before;
            machine event: most series of the machine changed with it.
    """

    ratio: float
    bayes_factor: float
    before: Point
    first: Point
    found: Point
    after: int
    state: State


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A series with its changes, oldest first, and why it could not be judged, if it could not."""

    key: Key
    unit: str
    points: int
    last: Point
    changes: list[Found]
    absent: dict[str, str] = {}


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All series of the given sources."""

    series: list[Judged]

    @property
    def sentence(self) -> str:
        """How many series there are, how many changed, and how many are too short to tell."""
        found = Counter(change.state for each in self.series for change in each.changes)
        short = sum(bool(each.absent) for each in self.series)
        words = [f"{len(self.series)} series", f"{counted(found['candidate'], 'change')} to confirm"]
        words += [counted(found[state], state) for state in ("known state", "machine event") if found[state]]
        if found["went away"]:
            words.append(f"{found['went away']} went away")
        if short:
            words.append(f"{short} series have fewer than {MIN_NIGHTS} points, too few to tell")
        return ", ".join(words) + "."


def history(paths: Sequence[Path]) -> History:
    """Read sources and judge their series.

    Args:
        paths: Folders and files as `sources.read` takes them.

    Returns:
        The series in the order of their keys.

    Raises:
        InputError: A source is missing or damaged.
    """
    series = assemble(reading for path in paths for reading in sources.read(path))
    by_machine: dict[str, list[Series]] = defaultdict(list)
    for each in series:
        by_machine[each.key.machine].append(each)
    return History(series=[judged for machine in sorted(by_machine) for judged in _machine(by_machine[machine])])


def _machine(series: Sequence[Series]) -> list[Judged]:
    """Judge the series of one machine together, because its noise is common to them."""
    nights = sorted({point.order[0] for each in series for point in each.points})
    numbers = {night: number for number, night in enumerate(nights)}
    steps = changes.changes(
        [np.log([point.value for point in each.points]) for each in series],
        [[numbers[point.order[0]] for point in each.points] for each in series],
    )
    judged = []
    for each, found in zip(series, steps, strict=True):
        named = [
            Found(
                ratio=math.exp(step.log_ratio), bayes_factor=math.exp(min(step.log_bayes_factor, 700.0)),
                before=each.points[step.first - 1], first=each.points[step.first], found=each.points[step.found],
                after=step.found - step.first + 1, state=step.state,
            )
            for step in found
        ]  # fmt: skip
        absent = {} if len(each.points) >= MIN_NIGHTS else {"changes": f"fewer than {MIN_NIGHTS} points"}
        judged.append(Judged(
            key=each.key, unit=each.unit, points=len(each.points), last=each.points[-1], changes=named, absent=absent,
        ))  # fmt: skip
    return _with_machine_events(judged)


def _with_machine_events(judged: Sequence[Judged]) -> list[Judged]:
    """Mark the changes that most series of a machine share as machine events, so that no commit is blamed for them."""
    able = sum(not each.absent for each in judged)
    at_once = Counter(night for each in judged for night in {change.first.order[0] for change in each.changes})
    events = {night for night, count in at_once.items() if able >= MACHINE_SERIES and count > MACHINE_SHARE * able}
    return [
        msgspec.structs.replace(each, changes=[
            msgspec.structs.replace(change, state="machine event") if change.first.order[0] in events else change
            for change in each.changes
        ])
        for each in judged
    ]  # fmt: skip
