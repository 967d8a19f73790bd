"""Assertions about reports of `verify`."""

from __future__ import annotations

from frameworks.api import FRAMEWORKS
from xibench.analysis.verify import EqualityReport


def verified_networks(report: EqualityReport) -> set[tuple[str, str]]:
    """Assert that a report is complete and without errors, and return what it compared in inference.

    Args:
        report: Report in which nothing may be skipped.

    Returns:
        Pairs of model and variant, each compared between all three frameworks in float64 and float32.
    """
    assert report.ok, [c for c in report.checks if not c.ok]
    assert report.skipped == []
    comparisons: dict[tuple[str, str, str], int] = {}
    for check in report.checks:
        if check.what.startswith("inference at") and {check.left, check.right} <= set(FRAMEWORKS):
            key = (check.model, check.variant, check.precision)
            comparisons[key] = comparisons.get(key, 0) + 1
    assert all(count >= 3 for count in comparisons.values())
    networks = {(model, variant) for model, variant, _ in comparisons}
    assert all((*network, precision) in comparisons for network in networks for precision in ("fp64", "fp32"))
    return networks
