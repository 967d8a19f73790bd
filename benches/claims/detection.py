"""Does `xibench ab` detect a slowdown of 3 %, and no difference between identical code?

The claim also applies the rules of other benchmarking tools to the same samples, and simulates how often other effects
are detected with other numbers of pairs.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benches.claims import simulation
from benches.claims.claim import Claim, Figures, Target
from benches.claims.comparisons import Done, Folder
from benches.claims.peers import judges
from xibench.ab.compare_sides import DecisionLimits
from xibench.ab.sides import Side
from xibench.record.schema import Case

IDENTICAL: Final = 60
PLANTED: Final = 40
SLOWDOWN: Final = 0.03
CASE: Final = Case(
    framework="pytorch", model="xception", variant="narrow", recipe="tuned+compiler=none", batch=1, resolution=128,
    images="noise",
)  # fmt: skip
"""Without a compiler, because compilation would take most of the time of each pair (docs/decisions.md)."""


def measure(folder: Path) -> Figures:
    """Make all comparisons in random order, judge their samples by the rules of other tools, then simulate.

    Finished comparisons are stored in the folder, so that an interrupted measurement resumes with the next one.
    """
    names = [f"identical-{i:03}" for i in range(IDENTICAL)] + [f"planted-{i:03}" for i in range(PLANTED)]
    random.Random(0).shuffle(names)
    comparisons = Folder(folder)
    done = [_compare(comparisons, name, i, len(names)) for i, name in enumerate(names)]
    identical = [one for one in done if one.name.startswith("identical")]
    planted = [one for one in done if one.name.startswith("planted")]
    pairs = [pair for one in identical for pair in one.pairs if pair.log_ratio is not None and not pair.superseded]
    log_ratios = [pair.log_ratio for pair in pairs if pair.log_ratio is not None]
    rules = judges()
    return {
        "case": CASE.key,
        "slowdown": SLOWDOWN,
        "threshold": DecisionLimits().threshold,
        "identical": _verdicts(identical),
        "planted": _verdicts(planted),
        "wall_s": _spread([one.wall_s for one in done]),
        "pairs": _spread([one.verdict.n for one in done]),
        "pair_wall_s": _spread([pair.wall_s for one in done for pair in one.pairs]),
        "pair_deviation": statistics.stdev(log_ratios),
        "pairs_set_aside": sum(pair.superseded for one in done for pair in one.pairs),
        "peers_on_the_same_samples": {
            name: {"identical": _judged(identical, rule), "planted": _judged(planted, rule)}
            for name, rule in rules.items()
        },
        "simulation": {
            "comparisons_per_effect": simulation.COMPARISONS,
            "drawn_from_pairs": len(log_ratios),
            "by_effect": {
                f"{effect:g}": simulation.sequential(log_ratios, effect, seed)
                for seed, effect in enumerate(simulation.EFFECTS)
            },
            "peer_comparisons_per_effect": simulation.PEER_COMPARISONS,
            "peers_by_effect": {
                f"{effect:g}": simulation.peers(pairs, rules, effect, seed)
                for seed, effect in enumerate(simulation.EFFECTS)
            },
        },
    }


def _compare(comparisons: Folder, name: str, index: int, total: int) -> Done:
    slowdown = SLOWDOWN if name.startswith("planted") else 0.0
    sides = (Side("tree"), Side("tree", slowdown=slowdown))
    return comparisons.compare(name, CASE, sides, DecisionLimits(seed=index), f"[{index + 1}/{total}]")


def _verdicts(done: Sequence[Done]) -> dict[str, Any]:
    """Return counts and shares of verdicts with exact 95 % intervals (Clopper-Pearson).

    `called` counts the comparisons that were called either slower or faster.
    """
    from scipy.stats import binomtest

    counts = Counter(one.verdict.verdict for one in done)
    found = {"slower": counts["slower"], "called": counts["slower"] + counts["faster"]}
    share = {name: count / len(done) for name, count in found.items()}
    bounds = {name: binomtest(count, len(done)).proportion_ci(method="exact") for name, count in found.items()}
    return {
        "comparisons": len(done),
        "verdicts": dict(counts),
        "slower_share": share["slower"],
        "slower_share_95": [float(bounds["slower"].low), float(bounds["slower"].high)],
        "called_share": share["called"],
        "called_share_95": [float(bounds["called"].low), float(bounds["called"].high)],
        "ratio": _spread([one.verdict.ratio for one in done]),
        "wall_s": _spread([one.wall_s for one in done]),
        "pairs": _spread([one.verdict.n for one in done]),
    }


def _judged(done: Sequence[Done], rule: Any) -> dict[str, float]:
    """Return the shares of the verdicts that the rule of another tool gives."""
    counts = Counter(rule(_steps(one, "base"), _steps(one, "new")) for one in done)
    return {name: counts[name] / len(done) for name in ("slower", "faster", "same")}


def _steps(one: Done, side: str) -> list[float]:
    return [step for pair in one.pairs if not pair.superseded for step in simulation.steps(pair, side)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean": statistics.fmean(values), "median": statistics.median(values), "least": min(values), "most": max(values)
    }  # fmt: skip


CLAIM: Final = Claim(
    "detection",
    "Identical code is never called faster or slower; a slowdown of 3 % is found, within 90 s a comparison.",
    (
        Target("identical.comparisons", at_least=60),
        Target("identical.called_share", at_most=0.0),
        Target("planted.comparisons", at_least=40),
        Target("planted.slower_share", at_least=0.95),
        Target("wall_s.mean", at_most=90.0),
    ),
    measure,
)
