"""How often does the detector of `xibench history` call a series changed that did not, and what does it find?

Nothing is measured: nightly series are simulated, and every night the detector sees what it would have seen then. The
detector of asv, which most nightly jobs use, judges the same series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benches.claims.claim import Claim, Figures, Target
from xibench.ab.compare_sides import DecisionLimits
from xibench.history.changes import Change, changes
from xibench.history.drift import drift
from xibench.history.evidence import Array
from xibench.measure import comparing

LENGTHS: Final = (20, 50, 200)  # nights
SERIES: Final = 500  # of each kind of noise
AFTER: Final = 5  # nights after a planted step
LOCATED: Final = 2  # nights by which a step may be placed wrongly
STICKY_CHANGES, STICKY_SLOW, STICKY_STEP, STICKY_NOISE = 0.1, 0.3, 0.08, 0.01
DRIFT_NOISE, DRIFT = 0.01, 0.1  # of what is to be reported as drift, over all nights
PAIR_NOISE: Final = 0.02  # deviation of the log ratio of a pair when a change is measured again
ASV_THRESHOLD: Final = 0.05  # asv's default regressions_thresholds
ASV_SERIES: Final = 200  # of each kind, because its detector takes tens of milliseconds a night
ASV_LENGTHS: Final = (20, 50)
ASV_FIRST: Final = 11  # the first night on which ours has enough nights, too

Noise = Callable[[np.random.Generator, int, int], Array]


def correlated(deviation: float, correlation: float) -> Noise:
    """Return AR(1) noise whose stationary deviation and correlation from night to night are those given."""

    def draw(rng: np.random.Generator, series: int, nights: int) -> Array:
        values = rng.normal(0, deviation, (series, nights))
        for night in range(1, nights):
            values[:, night] = correlation * values[:, night - 1] + math.sqrt(1 - correlation**2) * values[:, night]
        return values

    return draw


def drifting(deviation: float, total: float) -> Noise:
    """Return white noise on top of a drift that adds up to `total` over the nights, up in half of the series."""

    def draw(rng: np.random.Generator, series: int, nights: int) -> Array:
        direction = np.where(np.arange(series) % 2, 1, -1)[:, None]
        return rng.normal(0, deviation, (series, nights)) + direction * np.linspace(0, total, nights)

    return draw


def sticky(rng: np.random.Generator, series: int, nights: int) -> Array:
    """Draw noise of a machine with two states, which change in a tenth of the nights and are slow in 30 % of them."""
    slow = rng.random((series, nights)) < STICKY_SLOW
    drawn = rng.random((series, nights))
    leaves = STICKY_CHANGES / 2 / np.array([1 - STICKY_SLOW, STICKY_SLOW])  # the fast state, the slow one
    for night in range(1, nights):
        before = slow[:, night - 1]
        slow[:, night] = before ^ (drawn[:, night] < leaves[before.astype(int)])
    return rng.normal(0, STICKY_NOISE, (series, nights)) + math.log1p(STICKY_STEP) * slow


ORDINARY: Final[dict[str, Noise]] = {
    "white_1": correlated(0.01, 0), "white_3": correlated(0.03, 0), "white_10": correlated(0.1, 0),
    "ar_0.8": correlated(0.03, 0.8), "drift_4": drifting(0.01, 0.04),
}  # fmt: skip
"""Noise of which at most 1 % of series may be called changed."""
HARD: Final[dict[str, Noise]] = {"ar_0.95": correlated(0.03, 0.95), "sticky_8": sticky}
"""Noise that looks like changes, which only measuring again can tell from them."""
PLANTED: Final = {"step_5_at_1": (0.01, 0.05, 3), "step_8_at_3": (0.03, 0.08, 5)}
"""Steps: deviation of the white noise, size of the step, nights within which it is to be found."""


def measure(_: Path) -> Figures:
    """Simulate machines: one per length and kind of noise, one per kind of step, one with all ordinary kinds."""
    rng = np.random.default_rng(2026)
    figures: Figures = {"series_per_machine": SERIES}
    for nights in LENGTHS:
        drawn = {kind: noise(rng, SERIES, nights) for kind, noise in ORDINARY.items()}
        found = {kind: {"alarms": _share(changes(list(values)), bool)} for kind, values in drawn.items()}
        found |= {kind: _planted(rng, nights, *planted) for kind, planted in PLANTED.items()}
        found |= {kind: _hard(rng, noise(rng, SERIES, nights)) for kind, noise in HARD.items()}
        found["drift_10"] = {"reported": _drifts(drifting(DRIFT_NOISE, DRIFT)(rng, SERIES, nights))}
        mixed = changes([values for each in drawn.values() for values in each])
        found["mixed"] = {"alarms": _share(mixed, bool)}
        if nights in ASV_LENGTHS:
            for kind, values in drawn.items():
                found[kind]["asv_slower"] = _asv(values)
        figures[f"nights_{nights}"] = found
    return figures | {"worst": _worst(figures)}


def _planted(rng: np.random.Generator, nights: int, deviation: float, size: float, within: int) -> Figures:
    """Judge a machine with white noise, half of whose series have a step after `nights`, up or down."""
    values = correlated(deviation, 0)(rng, 2 * SERIES, nights + AFTER)
    direction = np.where(np.arange(SERIES) % 2, 1, -1)
    values[:SERIES, nights:] += math.log1p(size) * direction[:, None]
    found = changes(list(values))

    def in_time(each: list[Change]) -> bool:
        return any(abs(change.first - nights) <= LOCATED and 0 <= change.found - nights < within for change in each)

    figures: Figures = {
        "slower": _share([each for each, up in zip(found, direction, strict=False) if up > 0], in_time),
        "faster": _share([each for each, up in zip(found, direction, strict=False) if up < 0], in_time),
    }
    if nights in ASV_LENGTHS:
        figures["asv_slower"] = _asv(values[:SERIES][direction > 0], first=nights + 1, last=nights + within)
    return figures


def _drifts(values: Array) -> float:
    """Return the share of series that are reported to drift, since their last change where one was called."""
    found = changes(list(values))
    starts = [max([c.first for c in each if c.state != "went away"], default=0) for each in found]
    return sum(drift(each[start:]) is not None for each, start in zip(values, starts, strict=True)) / len(values)


def _hard(rng: np.random.Generator, values: Array) -> Figures:
    """Judge a machine's history of one kind of noise, before and after its alarms are measured again."""
    found = changes(list(values))
    slower = [[c for c in each if c.state != "known state" and c.log_ratio > 0] for each in found]
    figures: Figures = {
        "alarms": _share(found, lambda each: any(c.state != "known state" for c in each)),
        "slower": _share(slower, bool),
        "confirmed": _share(found, lambda each: any(_confirmed(rng) for c in each if c.state != "known state")),
    }
    if values.shape[1] in ASV_LENGTHS:
        figures["asv_slower"] = _asv(values)
        figures["above_asv"] = _share(slower[:ASV_SERIES], bool) - figures["asv_slower"]  # on the same series
    return figures


def _confirmed(rng: np.random.Generator) -> bool:
    """Measure identical code again, in pairs whose noise has nothing to do with the nights', as `ab` would."""
    limits = DecisionLimits()
    ratios = rng.normal(0, PAIR_NOISE, limits.max_pairs).tolist()
    for pairs in range(limits.min_pairs, limits.max_pairs + 1):
        verdict = comparing.verdicts([comparing.paired_ratio(ratios[:pairs])], limits.threshold)[0]
        if verdict != "unsure":
            return verdict != "same"
    return False


def _asv(values: Array, first: int = ASV_FIRST, last: int | None = None) -> float:
    """Return the share of series that asv's detector calls slower on any of the nights `first` to `last`.

    It is asked every night, as a nightly job asks it, and sees the nights until then.
    """
    from asv.step_detect import detect_regressions, detect_steps

    judged = np.exp(values[:ASV_SERIES])
    nights = range(first, (last or values.shape[1]) + 1)
    return sum(
        any(detect_regressions(detect_steps(each[:n].tolist()), threshold=ASV_THRESHOLD)[0] is not None for n in nights)
        for each in judged
    ) / len(judged)


def _share(found: Sequence[list[Change]], holds: Callable[[list[Change]], bool]) -> float:
    return sum(map(holds, found)) / len(found)


def _worst(figures: Figures) -> dict[str, Any]:
    """Return the worst figure of every kind over all lengths, which the targets bound."""
    nights = [figures[f"nights_{each}"] for each in LENGTHS]
    worst: dict[str, Any] = {
        "alarms": max(each[kind]["alarms"] for each in nights for kind in ORDINARY),
        "confirmed": max(each[kind]["confirmed"] for each in nights for kind in HARD),
        "above_asv": max(each[kind]["above_asv"] for each in nights for kind in HARD if "above_asv" in each[kind]),
    }  # fmt: skip
    worst["drift_10"] = min(each["drift_10"]["reported"] for each in nights)
    return worst | {
        kind: min(each[kind][direction] for each in nights for direction in ("slower", "faster")) for kind in PLANTED
    }


CLAIM: Final = Claim(
    "history",
    "In simulated nightly series, at most 1 % without a change are called changed, and steps of 5 % at 1 % noise are "
    "found within 3 nights, of 8 % at 3 % within 5; a drift of 10 % is reported as one.",
    (
        Target("worst.alarms", at_most=0.01),
        Target("worst.confirmed", at_most=0.01),
        Target("worst.above_asv", at_most=0.0),
        Target("worst.step_5_at_1", at_least=0.95),
        Target("worst.step_8_at_3", at_least=0.80),
        Target("worst.drift_10", at_least=0.95),
    ),
    measure,
)
