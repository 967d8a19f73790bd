"""What a history says: its series, their changes, and the sentence that sums them up."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np

from xibench.history import changes, levels, sources
from xibench.history.confirm import Compare, Confirmation, Confirmations, confirm
from xibench.history.drift import drift
from xibench.history.evidence import MIN_NIGHTS
from xibench.history.notes import Note
from xibench.history.series import Key, Point, Series, Subject, assemble
from xibench.record.format import counted

MACHINE_SHARE: Final = 0.5  # of a machine's series: if more change on the same night, it is a machine event
MACHINE_SERIES: Final = 4  # fewer series do not show one


State = changes.State | Literal["machine event", "suspected", "confirmed", "withdrawn", "undecided", "fixed"]
FIXED: Final = 0.7  # of a regression: what later changes must take back for it to count as fixed
OPEN: Final = ("candidate", "suspected")
"""States of changes that measuring again decides."""
DECIDED: Final = ("confirmed", "undecided", "withdrawn", "fixed")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a series.

    Attributes:
        ratio: New level over old level: above 1 is slower, or more.
        bayes_factor: How many times as likely the points are with the change as without, when it was found; None if
            the series is too short to know.
        before, first, found: The last point of the old level, the first of the new one, and the point with which the
            change was found.
        after: Points of the new level until it was found, the first included.
        around: Commits one point further on both sides, between which the change is if its place is a point off.
        state: candidate: to be confirmed; suspected: likewise, of a series that is too short to know its noise, where
            the intervals of two points are apart; went away: the series returned; known state: a level that it had
            before; machine event: most series of the machine changed with it. After measuring again: confirmed;
            withdrawn; undecided; fixed: confirmed, and a later change took it back.
        confirmation: What measuring again said; None if it was not.
        fixed_by: The commit that took a confirmed regression back.
        note: What results/notes.toml says of it.
        muted: Whether that note mutes it.
    """

    ratio: float
    bayes_factor: float | None
    before: Point
    first: Point
    found: Point
    after: int
    around: tuple[str, str] | None = None
    state: State
    confirmation: Confirmation | None = None
    fixed_by: str | None = None
    note: str | None = None
    muted: bool = False

    @property
    def best_ratio(self) -> float:
        """The ratio that measuring again found, else that of the series."""
        again = self.confirmation and self.confirmation.found
        return again.ratio if again else self.ratio

    @property
    def commit(self) -> str | None:
        """The commit that made the change, as far as it is known: the confirmed one, else the first with it."""
        return (self.confirmation and self.confirmation.commit) or self.first.commit


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A series with its changes, oldest first, and why it could not be judged, if it could not.

    drift: How far it has drifted since its last change, the level now over the level then; None if it has not.
    """

    key: Key
    unit: str
    points: int
    last: Point
    subject: Subject | None = None
    changes: list[Found]
    drift: float | None = None
    absent: dict[str, str] = {}


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All series of the given sources."""

    series: list[Judged]

    @property
    def sentence(self) -> str:
        """How many series there are, how many changed, and how many are too short to tell."""
        if not self.series:
            return "No series: no figure of the sources counts; those of disturbed runs that are not ranked do not."
        found = Counter(change.state for each in self.series for change in each.changes)
        short = sum(bool(each.absent) for each in self.series)
        words = [f"{len(self.series)} series", f"{counted(sum(found[state] for state in OPEN), 'change')} to confirm"]
        words += [f"{found[state]} {state}" for state in DECIDED if found[state]]
        words += [counted(found[state], state) for state in ("known state", "machine event") if found[state]]
        if found["went away"]:
            words.append(f"{found['went away']} went away")
        if drifts := sum(each.drift is not None for each in self.series):
            words.append(f"{drifts} drifts")
        if short:
            words.append(f"{short} series have fewer than {MIN_NIGHTS} points, too few to tell")
        return ", ".join(words) + "."


def read(paths: Sequence[Path], warn: Callable[[str], None] = lambda line: None) -> list[Series]:
    """Read sources.

    Args:
        paths: Folders and files as `sources.read` takes them.
        warn: Called with a line about what is odd in them.

    Returns:
        The series in the order of their keys.

    Raises:
        InputError: A source is missing or damaged.
    """
    return assemble(reading for path in paths for reading in sources.read(path, warn))


def judge(series: Sequence[Series]) -> History:
    """Find the changes of series, those of each machine together, in the order of their keys."""
    by_machine: dict[str, list[Series]] = defaultdict(list)
    for each in series:
        by_machine[each.key.machine].append(each)
    return History(series=[judged for machine in sorted(by_machine) for judged in _machine(by_machine[machine])])


def remembered(found: History, confirmations: Confirmations, notes: Sequence[Note] = ()) -> History:
    """Return a history with what was confirmed, withdrawn or noted of its changes.

    Args:
        found: The history as it follows from its figures.
        confirmations: What measuring again said.
        notes: What people said.
    """
    series = []
    for each in found.series:
        changed = [_noted(_confirmed(each.key, change, confirmations), each.key, notes) for change in each.changes]
        series.append(msgspec.structs.replace(each, changes=_with_fixes(changed)))
    return History(series=series)


def confirm_changes(
    found: History, confirmations: Confirmations, compare: Compare, report: Callable[[str], None]
) -> None:
    """Measure again what is open or undecided, newest first, and add what that says to the confirmations.

    Args:
        found: The history, with what is remembered of it.
        confirmations: Get a line as soon as a change is decided.
        compare: Compares two commits.
        report: Called with a line before each change.
    """
    todo = [
        (each, change) for each in found.series for change in each.changes
        if change.state in (*OPEN, "undecided") and not change.muted
    ]  # fmt: skip
    for each, change in sorted(todo, key=lambda one: one[1].first.order, reverse=True):
        before, first = change.before.commit, change.first.commit
        if each.subject is None or before is None or first is None or before == first:
            continue
        report(f"{each.key.name}: {before[:10]} against {first[:10]}")
        ranges = [(before, first), *([change.around] if change.around else [])]
        confirmations.append(confirm(each.key, each.subject, ranges, change.ratio > 1, compare))


def _confirmed(key: Key, change: Found, confirmations: Confirmations) -> Found:
    if change.state not in OPEN or change.before.commit is None or change.first.commit is None:
        return change
    known = confirmations.of(key, change.before.commit, change.first.commit)
    return change if known is None else msgspec.structs.replace(change, state=known.outcome, confirmation=known)


def _noted(change: Found, key: Key, notes: Sequence[Note]) -> Found:
    about = [note for note in notes if note.is_about(key.name, change.commit or "")]
    if not about:
        return change
    text = "; ".join(note.text for note in about)
    return msgspec.structs.replace(change, note=text, muted=any(note.mute for note in about))


def _with_fixes(found: list[Found]) -> list[Found]:
    """Mark the confirmed regressions that a later change took back."""
    marked = list(found)
    for index, change in enumerate(found):
        if change.state != "confirmed" or change.ratio < 1:
            continue
        left = math.log(change.best_ratio)
        for later in found[index + 1 :]:
            if later.state not in ("candidate", "known state", "confirmed"):
                continue
            left += math.log(later.best_ratio)
            if left < math.log(change.best_ratio) * (1 - FIXED):
                marked[index] = msgspec.structs.replace(change, state="fixed", fixed_by=later.commit)
                break
    return marked


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
                after=step.found - step.first + 1, around=_around(each.points, step.first), state=step.state,
            )
            for step in found
        ]  # fmt: skip
        start = max([step.first for step in found if step.state != "went away"], default=0)
        moved = drift(np.log([point.value for point in each.points[start:]]))
        absent = {} if len(each.points) >= MIN_NIGHTS else {"changes": f"fewer than {MIN_NIGHTS} points"}
        judged.append(Judged(
            key=each.key, unit=each.unit, points=len(each.points), last=each.points[-1], subject=each.subject,
            changes=named or (_suspected(each.points) if absent else []), absent=absent,
            drift=None if moved is None else math.exp(moved),
        ))  # fmt: skip
    return _with_machine_events(judged)


def _suspected(points: Sequence[Point]) -> list[Found]:
    """Return the changes of a series that is too short to judge, which are only suspected."""
    return [
        Found(
            ratio=math.exp(step.log_ratio), bayes_factor=None, before=points[step.first - 1], first=points[step.first],
            found=points[-1], after=len(points) - step.first, around=_around(points, step.first), state="suspected",
        )
        for step in levels.steps(points)
    ]  # fmt: skip


def _around(points: Sequence[Point], first: int) -> tuple[str, str] | None:
    """Return the commits of the points one further from a change on both sides; None if a point has none."""
    two = points[max(first - 2, 0)].commit, points[min(first + 1, len(points) - 1)].commit
    return (two[0], two[1]) if two[0] and two[1] else None


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
