"""Simulated comparisons: pairs resampled from measured ones and judged by the functions that `xibench ab` uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benches.claims.peers import Judge
from xibench.ab.compare_sides import DecisionLimits
from xibench.measure import comparing
from xibench.record.pairs import Pair

COMPARISONS: Final = 10_000
EFFECTS: Final = (0.0, 0.01, 0.02, 0.03, 0.05)
PAIR_COUNTS: Final = tuple(range(2, 21))
PEER_COMPARISONS: Final = 200  # per effect and number of pairs; few, because one test of asv takes tens of milliseconds
PEER_PAIR_COUNTS: Final = (2, 6, 20)


def sequential(log_ratios: Sequence[float], effect: float, seed: int) -> dict[str, Any]:
    """Simulate COMPARISONS comparisons with a planted effect by resampling pairs of identical code (bootstrap).

    Args:
        log_ratios: Log ratios of measured pairs of identical code; their mean is subtracted.
        effect: Relative change of the new side.
        seed: Seed of the resampling.

    Returns:
        The shares of verdicts after each fixed number of pairs; those of the sequential stopping rule, and the mean
        number of pairs until it stops.
    """
    pool = np.asarray(log_ratios) - np.mean(log_ratios)
    resampled = np.random.default_rng(seed).choice(pool, (COMPARISONS, max(PAIR_COUNTS))) + math.log1p(effect)
    limits = DecisionLimits()
    at: dict[int, dict[str, int]] = {n: dict.fromkeys(("slower", "faster", "same", "unsure"), 0) for n in PAIR_COUNTS}
    ended = dict.fromkeys(("slower", "faster", "same", "unsure"), 0)
    pairs_used = []
    for row in resampled.tolist():
        stopped = None
        for n in PAIR_COUNTS:
            verdict = comparing.verdicts([comparing.paired_ratio(row[:n])], limits.threshold)[0]
            at[n][verdict] += 1
            if stopped is None and n >= limits.min_pairs and verdict != "unsure":
                stopped = (verdict, n)
        verdict, n = stopped or ("unsure", max(PAIR_COUNTS))
        ended[verdict] += 1
        pairs_used.append(n)
    return {
        "after_pairs": {str(n): _shares(counts) for n, counts in at.items()},
        "sequential": _shares(ended) | {"pairs_mean": float(np.mean(pairs_used))},
    }


def peers(pairs: Sequence[Pair], judges: dict[str, Judge], effect: float, seed: int) -> dict[str, Any]:
    """Simulate PEER_COMPARISONS comparisons with a planted effect and judge them by the rules of other tools.

    Args:
        pairs: Measured pairs of identical code, which are resampled.
        judges: The rules by name.
        effect: Relative change by which the steps of the new side are scaled.
        seed: Seed of the resampling.

    Returns:
        The shares of verdicts by number of pairs and rule.
    """
    rng = np.random.default_rng(seed)
    sides = [(steps(pair, "base"), steps(pair, "new")) for pair in pairs]
    found: dict[str, Any] = {}
    for n in PEER_PAIR_COUNTS:
        counts = {name: {"slower": 0, "faster": 0, "same": 0} for name in judges}
        for _ in range(PEER_COMPARISONS):
            picks = rng.integers(0, len(sides), n)
            base = [step for i in picks for step in sides[i][0]]
            new = [step * (1 + effect) for i in picks for step in sides[i][1]]
            for name, judge in judges.items():
                counts[name][judge(base, new)] += 1
        found[str(n)] = {name: _shares(counted) for name, counted in counts.items()}
    return found


def steps(pair: Pair, side: str) -> list[float]:
    """Return all timed steps of one side of a pair in order, in seconds."""
    found = pair.base if side == "base" else pair.new
    return [step for burst in found.bursts_s for step in burst] if found else []


def _shares(counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}
