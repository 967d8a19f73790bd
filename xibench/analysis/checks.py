"""Comparisons of arrays that `verify` makes, and their errors.

An error is the largest absolute difference of an array over the largest magnitude in it, of the right-hand side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from frameworks.api import FRAMEWORKS, REFERENCES
from xibench.analysis.forward import Arrays
from xibench.measure.errors import relative_error
from xibench.workers.messages import ForwardPass

TOLERANCE: Final = {"fp64": 1e-12, "fp32": 1e-5}
OURS: Final = (*FRAMEWORKS, *REFERENCES)
"""Every framework, and the reference that they are all held against: the right-hand side of a comparison."""
KERAS: Final = "keras"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. errors: of each block, the logits, running statistics; worst: whose is max_relative_error.

    Where `what` says rms: root-mean-square error of the logits, and the tolerance is 3 x that of recipe `default`.
    """

    model: str
    variant: str
    left: str
    right: str
    precision: str
    what: str
    max_relative_error: float
    tolerance: float
    ok: bool
    worst: str
    errors: dict[str, float]


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """One seeded mistake in one framework: caught if its error against another, right one exceeds the tolerance."""

    mistake: str
    model: str
    framework: str
    max_relative_error: float
    tolerance: float
    caught: bool


def array_errors(left: Arrays, right: Arrays) -> dict[str, float]:
    """Relative error of every array of the right-hand side; infinite where the left-hand side has none."""
    return {name: relative_error(left[name], right[name]) if name in left else float("inf") for name in right}


def pair(job: ForwardPass, what: str, names: tuple[str, str], arrays: Mapping[str, Arrays]) -> Check:
    """Two names' arrays of one job, to the tolerance of its precision."""
    left, right = names
    return check(job, left, right, what, array_errors(arrays[left], arrays[right]), TOLERANCE[job.precision])


def check(job: ForwardPass, left: str, right: str, what: str, errors: dict[str, float], tolerance: float) -> Check:
    """Errors against a tolerance."""
    worst = max(errors, key=lambda name: errors[name])
    return Check(
        model=job.model, variant=job.variant, left=left, right=right, precision=job.precision, what=what, worst=worst,
        errors=errors, max_relative_error=errors[worst], tolerance=tolerance, ok=errors[worst] <= tolerance,
    )  # fmt: skip
