"""Changes of many series, found night by night as a nightly job would have found them.

Each night looks at the nights up to it and no further, so that what is found today would have been found by a job that
ran then. Between two changes the noise of a series is described by `evidence`; a change starts a new stretch of nights.

A step that has lasted for m nights is a candidate when its Bayes factor is at least BOUND max(n, FEW)^RISE / m for a
series of n nights. A series of n nights has n / m independent stretches of m nights in which noise can pass for a step.
By Markov's inequality a fixed one exceeds a bound with a chance of at most its reciprocal, and RISE lets the sum over
all nights stay finite: a series may be watched for years. BOUND is calibrated on simulated series, because the
inequality alone would ask for far more; the claim `history` states how many unchanged series are still called changed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from xibench.history import evidence
from xibench.history.evidence import MIN_AFTER, MIN_NIGHTS, WINDOW, Array, Noise, Residuals

BOUND, FEW, RISE = 11.0, 20, 1.5  # see above
STAYED: Final = 1 / 3  # of a step
STAYING: Final = 0.6  # of the nights since then, and of the last three, which must show that much
SAME_LEVEL: Final = 0.015  # levels that differ by less, as logarithms, are the same state

State = Literal["candidate", "went away", "known state"]


@dataclass(slots=True)
class Change:
    """A change of the level of a series.

    Attributes:
        first: Index of the first night at the new level.
        found: Index of the night on which it was found.
        log_ratio: New level over old level, as a logarithm, estimated on the night on which it was found.
        log_bayes_factor: Logarithm of the evidence for it on that night.
        state: candidate; went away, if the series returned within MIN_NIGHTS; known state, if the new level is one
            that the series had before the one that it left.
    """

    first: int
    found: int
    log_ratio: float
    log_bayes_factor: float
    state: State


@dataclass(slots=True)
class _Series:
    """What is known of a series up to a night."""

    values: Array
    nights: NDArray[np.int_]
    starts: list[int] = field(default_factory=lambda: [0])  # of its stretches
    changes: list[Change] = field(default_factory=list)

    def level(self, start: int, end: int) -> float:
        return float(np.median(self.values[start:end]))


def changes(series: Sequence[Array], nights: Sequence[Sequence[int]] | None = None) -> list[list[Change]]:
    """Find the changes of all series of one machine.

    Args:
        series: The values of each, oldest first, as logarithms.
        nights: The number of the night of each value, ascending. None: all series end on the same night, and none has
            a gap.

    Returns:
        The changes of each series, oldest first.
    """
    longest = max(map(len, series), default=0)
    numbers = nights or [range(longest - len(values), longest) for values in series]
    followed = [
        _Series(np.asarray(values, dtype=np.float64), np.asarray(when))
        for values, when in zip(series, numbers, strict=True)
    ]
    earlier: dict[int, tuple[Residuals, int]] = {}  # of each series, from the last night that had enough before it
    noise = evidence.UNKNOWN
    for night in sorted({night for when in numbers for night in when}):
        groups = _fit(followed, night)
        tonight = {number: (fit, row) for members, fit in groups for row, (number, _) in enumerate(members)}
        others = [fit.of(row) for number, (fit, row) in earlier.items() if number not in tonight]
        noise = evidence.learn_noise([fit for _, fit in groups] + others, noise)
        for members, fit in groups:
            _judge([(followed[number], end) for number, end in members], fit, noise)
        earlier |= tonight
    return [each.changes for each in followed]


def _fit(followed: Sequence[_Series], night: int) -> list[tuple[list[tuple[int, int]], Residuals]]:
    """Fit all series that have a value of a night, as they were then, in groups of equally long stretches.

    Returns:
        The series of each group, each with its number of values until that night, and their residuals.
    """
    groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, each in enumerate(followed):
        end = int(np.searchsorted(each.nights, night, side="right"))
        if end and each.nights[end - 1] == night:
            _withdraw(each, end)
            groups[min(end - each.starts[-1], WINDOW)].append((number, end))
    fits = []
    for length, members in groups.items():
        found = evidence.residuals(np.stack([followed[number].values[end - length : end] for number, end in members]))
        if found is not None:
            fits.append((members, found))
    return fits


def _judge(group: Sequence[tuple[_Series, int]], fit: Residuals, noise: Noise) -> None:
    """Add a change to every series of a group for which the evidence suffices."""
    factors = fit.log_bayes_factors(noise)
    best = np.argmax(factors, axis=1)
    for row, (each, end) in enumerate(group):
        after = fit.after[best[row]]
        factor = float(factors[row, best[row]])
        if factor < math.log(BOUND / after) + RISE * math.log(max(end, FEW)):
            continue
        first = end - after
        step = float(fit.of(row).step(noise)[0, best[row]])
        stayed = (each.values[first:end] - each.level(each.starts[-1], first)) / step > STAYED
        if min(np.mean(stayed), np.mean(stayed[-MIN_AFTER:])) < STAYING or np.count_nonzero(stayed) < MIN_AFTER:
            continue
        each.changes.append(Change(first, end - 1, step, factor, _state(each, first, end)))
        each.starts.append(first)


def _state(each: _Series, first: int, end: int) -> State:
    """Whether the nights since `first` are at a level that the series had before the one that it left."""
    new = each.level(first, end)
    earlier = zip(each.starts[:-1], each.starts[1:], strict=True)
    return "known state" if any(abs(each.level(*stretch) - new) < SAME_LEVEL for stretch in earlier) else "candidate"


def _withdraw(each: _Series, end: int) -> None:
    """Take a young change back if the last nights are nearer to the level before it than to the one after it."""
    if len(each.starts) < 2 or end - each.starts[-1] >= MIN_NIGHTS:
        return
    change, before = each.changes[-1], each.starts[-2]
    since = end - 1 - change.found
    if since < MIN_AFTER:
        return
    old, new = each.level(before, change.first), each.level(change.first, change.found + 1)
    now = each.level(end - MIN_AFTER, end)
    if abs(now - old) < abs(now - new):
        change.state = "went away"
        each.starts.pop()
