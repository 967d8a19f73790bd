"""Tasks: what one step computes, its input and its result, and how much two results differ.

A task is a value that costs and programs take as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TaskName = Literal["infer"]


@dataclass(frozen=True, slots=True)
class Infer:
    """The forward pass: images in, logits out. Batch norm uses its running statistics, dropout is the identity."""

    name: TaskName = "infer"


INFER: Final = Infer()
Task = Infer
"""Any task; becomes a union when there is a second one."""


class Batch(NamedTuple):
    """The input of one step, on the host.

    images: float32, (batch, height, width, channels), scaled to [-1, 1].
    labels: int32, (batch,); None for a task without labels.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32] | None = None


Result = dict[str, "NDArray[np.floating[Any]]"]
"""The result of a step, on the host: {"logits": (batch, classes)}, float32, or float64 in fp64."""


def relative_error(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Return max |left - right| / max |right|; infinite if the shapes differ or the quotient is not finite."""
    import numpy as np

    if left.shape != right.shape:
        return float("inf")
    error = float(np.max(np.abs(left.astype(np.float64) - right)) / np.max(np.abs(right)))
    return error if np.isfinite(error) else float("inf")


def rms_error(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Return the root mean square of the difference, divided by that of `right`.

    Infinite if the shapes differ or the quotient is not finite.
    """
    import numpy as np

    if left.shape != right.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = np.mean((left.astype(np.float64) - right) ** 2) / np.mean(right.astype(np.float64) ** 2)
    error = float(np.sqrt(squares))
    return error if np.isfinite(error) else float("inf")
