"""What a report of the proof of equality holds."""

from __future__ import annotations

from frameworks.api import FRAMEWORKS
from xibench.analysis.verify import EqualityReport


def proven(report: EqualityReport) -> set[tuple[str, str]]:
    """What was compared in inference by all three frameworks in both precisions, if everything held."""
    assert report.ok, [c for c in report.checks if not c.ok]
    assert report.skipped == []
    pairs: dict[tuple[str, str, str], int] = {}
    for check in report.checks:
        if check.what.startswith("inference at") and {check.left, check.right} <= set(FRAMEWORKS):
            key = (check.model, check.variant, check.precision)
            pairs[key] = pairs.get(key, 0) + 1
    assert all(count >= 3 for count in pairs.values())
    found = {(model, variant) for model, variant, _ in pairs}
    assert all((*one, precision) in pairs for one in found for precision in ("fp64", "fp32"))
    return found
