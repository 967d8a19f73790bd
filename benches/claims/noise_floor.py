"""The noise floor: `xibench ab` of identical code, in all frameworks, with a short and a long step."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Final

from benches.claims.claim import Claim, Figures, Target
from benches.claims.comparisons import Done, Folder
from xibench.ab.compare_sides import DecisionLimits
from xibench.ab.sides import Side
from xibench.measure import comparing
from xibench.record.pairs import PairSide
from xibench.run.plan import Selection, cases

PAIRS: Final = 6  # per case; few, so that the claim takes minutes
LIMITS: Final = DecisionLimits(min_pairs=PAIRS, max_pairs=PAIRS)
SELECTIONS: Final = (
    Selection(models=("xception",), variants=("narrow",), recipes=("tuned",), batches=(4,), resolutions=(128,)),
    Selection(models=("xception",), recipes=("tuned",), batches=(1,)),
)


def measure(folder: Path) -> Figures:
    """Compare every case with itself in PAIRS pairs. An interrupted measurement resumes with the next case."""
    plan = [case for selection in SELECTIONS for case in cases(selection)]
    comparisons, sides = Folder(folder), (Side("tree"), Side("tree"))
    done = [
        comparisons.compare(case.key.replace("/", "-"), case, sides, LIMITS, f"[{i}/{len(plan)}]")
        for i, case in enumerate(plan, start=1)
    ]
    figures = {case.key: _figures(one) for case, one in zip(plan, done, strict=True)}
    verdicts = [one.verdict.verdict for one in done]
    return {
        "subjects": len(plan),
        "called_different": sum(verdict in ("faster", "slower") for verdict in verdicts),
        "same": verdicts.count("same"),
        "unsure": verdicts.count("unsure"),
        "pairs_set_aside": sum(pair.superseded for one in done for pair in one.pairs),
        "median_process_deviation": statistics.median(f["process_deviation"] for f in figures.values()),
        "median_pair_deviation": statistics.median(f["pair_deviation"] for f in figures.values()),
        "by_case": figures,
    }


def _figures(done: Done) -> Figures:
    """Return the relative standard deviations between fresh processes and between the ratios of pairs."""
    pairs = [pair for pair in done.pairs if not pair.superseded]
    logs = [pair.log_ratio for pair in pairs if pair.log_ratio is not None]
    medians = [math.log(_median(side)) for pair in pairs for side in (pair.base, pair.new) if side is not None]
    deviation = statistics.stdev(logs)
    return {
        "pairs": len(logs),
        "step_s": math.exp(statistics.median(medians)),
        "process_deviation": statistics.stdev(medians),
        "pair_deviation": deviation,
        "detectable": comparing.detectable(deviation, len(logs)),
        "detectable_with_20_pairs": comparing.detectable(deviation, 20),
        "pair_wall_s": statistics.median(pair.wall_s for pair in pairs),
    }


def _median(side: PairSide) -> float:
    return statistics.median(step for burst in side.bursts_s for step in burst)


CLAIM: Final = Claim(
    "noise_floor",
    "Code compared with itself is never called faster or slower.",
    (Target("called_different", at_most=0),),
    measure,
)
