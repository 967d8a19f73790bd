"""What one step computes. A task is a value, so that costs and programs take it as an argument."""

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
"""Every task; a union once there is a second one."""


class Batch(NamedTuple):
    """What one step takes, on the host.

    images: float32, (batch, height, width, channels), scaled to -1..1.
    labels: int32, (batch,); None for a task without labels.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32] | None = None


Result = dict[str, "NDArray[np.floating[Any]]"]
"""What a step computed, on the host, by name: {"logits": (batch, classes)}. Float32, or float64 in fp64."""
