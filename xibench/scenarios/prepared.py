"""What a scenario runs on and what it gives back, inside a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from frameworks.api import Program
    from frameworks.manifest import DeviceMemory
    from frameworks.task import Batch, Result
    from xibench.measure.loop import Clock
    from xibench.measure.memory import HighWaterMark, HostPeak
    from xibench.measure.phase import Phase
    from xibench.record.schema import Case, Measured, SamplingConfig
    from xibench.scenarios.sampling import Deadlines


class PreparedCase(msgspec.Struct, frozen=True):
    """A compiled model with its batch, and everything that timing it takes."""

    case: Case
    sampling: SamplingConfig
    program: Program
    batch: Batch  # on the host: images (batch, height, width, 3)
    placed: Any  # the same batch on the device, as the framework has it
    mark: HighWaterMark
    clock: Clock
    on_phase: Callable[[Phase], None]  # called before a phase starts, never between two steps of one phase
    on_progress: Callable[[str], None]  # free text for people
    order: int  # position of the process in the run: two processes draw different arrivals
    deadlines: Deadlines


class Peaks(msgspec.Struct, frozen=True):
    """Memory high-water marks, without the copies of the batch that were made for rotation."""

    host: HostPeak
    device: DeviceMemory | None


class Timed(msgspec.Struct, frozen=True):
    """What a scenario has measured in one process."""

    first_step_s: float
    measured: Measured
    peaks: Peaks
    result: Result  # of the last step, on the host: logits (batch, classes)
    output: Any  # of the last step, as the framework has it; the device has finished it
    absent: dict[str, str] | None = None  # field -> why it is None
