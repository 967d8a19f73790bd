"""Tasks: what one step computes, its input and its result.

A task is a value that costs and programs take as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TaskName = Literal["infer"]


class Infer(msgspec.Struct, frozen=True):
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
