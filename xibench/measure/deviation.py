"""How far one array is from another, relative to the second."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def relative_error(left: Floats, right: Floats) -> float:
    """Max |left - right| / max |right|; infinite for unlike shapes or where it is not a number."""
    if left.shape != right.shape:
        return float("inf")
    error = float(np.max(np.abs(left.astype(np.float64) - right)) / np.max(np.abs(right)))
    return error if np.isfinite(error) else float("inf")


def rms_error(left: Floats, right: Floats) -> float:
    """Root-mean-square of the difference over that of `right`; infinite for unlike shapes or where it is no number."""
    if left.shape != right.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = np.mean((left.astype(np.float64) - right) ** 2) / np.mean(right.astype(np.float64) ** 2)
    error = float(np.sqrt(squares))
    return error if np.isfinite(error) else float("inf")
