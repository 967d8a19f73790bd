"""Assertions about reports of `verify`."""

from __future__ import annotations

from collections.abc import Sequence

from frameworks.api import FRAMEWORKS
from xibench.analysis.checks import Check
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


def assert_within_tolerance(checks: Sequence[Check]) -> set[frozenset[str]]:
    """Assert that all checks are within the tolerances of docs/method.md, and return the pairs compared in fp32."""
    fp64 = [c for c in checks if c.precision == "fp64"]
    fp32 = [c for c in checks if c.precision == "fp32" and "rms" not in c.what]
    assert fp64
    assert all(c.max_relative_error <= 1e-12 for c in fp64)
    assert all(c.max_relative_error <= 1e-5 for c in fp32)
    return {frozenset((c.left, c.right)) for c in fp32 if not c.what.startswith("whole graph")}
