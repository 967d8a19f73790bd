"""What scenarios share while they sample: rotation of inputs, and the rules that end warm-up and timed steps.

Inputs are rotated among as many copies of the batch as it takes to fill the last-level cache.

Sampling ends by the run's sampling configuration, its total budget, or the time limit. The worker ends its sampling
itself before the parent would kill it: the samples until then are kept, and `stopped_by` says `time_limit_s`. A run
with a total budget gives each process a share of it; `stopped_by` then says `total_budget_s`, unless another limit or
the precision of the median ended the sampling first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from xibench.measure.machine import buffers_needed, last_level_cache_bytes
from xibench.measure.phase import Phase
from xibench.measure.stopping import Deadline, Limits, TimedSteps, Warmup, WarmupLimits
from xibench.scenarios.prepared import Peaks

if TYPE_CHECKING:
    from xibench.scenarios.prepared import PreparedCase

GPU_CACHE_BYTES: Final = 128 * 2**20
"""No NVIDIA GPU has a larger L2 cache: 50 MB on an H200, 126 MB on a B200."""
LIMIT_SHARE: Final = 0.85
"""Share of a worker's time limit after which it starts no further step; the rest is for its start and its answer."""


class InputRotation:
    """Copies of the input, made after the first step, and the memory peaks without them.

    The copies are resident from the warm-up on, so they can be subtracted from later peaks.

    Args:
        prepared: the case.
        first: the input of the first step, which exists already.
        another: makes a further copy.
        host_bytes, device_bytes: size of one copy on the host and on the device; 0 if it takes no memory there.

    """

    def __init__(
        self, prepared: PreparedCase, first: Any, another: Callable[[], Any], host_bytes: int, device_bytes: int
    ) -> None:
        self._prepared = prepared
        self._inputs = [first]
        self._another = another
        self._bytes = (host_bytes, device_bytes)
        self._before: Peaks | None = None
        cache_bytes = GPU_CACHE_BYTES if device_bytes else last_level_cache_bytes()
        self.count = buffers_needed(max(host_bytes, device_bytes), cache_bytes)

    def input(self, number: int) -> Any:
        """Return the input of step `number`."""
        return self._inputs[number % len(self._inputs)]

    def on_phase(self, phase: Phase) -> None:
        """Make the copies before the warm-up; pass on every phase."""
        if phase is Phase.WARM_UP:
            self._before = Peaks(self._prepared.mark.read(), self._prepared.program.device_memory())
            self._inputs += [self._another() for _ in range(self.count - 1)]
        self._prepared.on_phase(phase)

    def peaks(self) -> Peaks:
        """Return the memory peaks until now, without the copies."""
        now, before = Peaks(self._prepared.mark.read(), self._prepared.program.device_memory()), self._before
        assert before is not None
        host_bytes, device_bytes = (size * (self.count - 1) for size in self._bytes)
        host = replace(now.host, peak_bytes=without_copies(now.host.peak_bytes, host_bytes, before.host.peak_bytes))
        if now.device is None or before.device is None:
            return Peaks(host, now.device)
        device = {
            name: without_copies(getattr(now.device, name), device_bytes, getattr(before.device, name))
            for name in ("peak_allocated_bytes", "peak_reserved_bytes")
        }
        return Peaks(host, replace(now.device, **device))


def without_copies(peak: int | None, copies: int, before: int | None) -> int | None:
    """Return a peak minus the bytes of the copies, but at least the peak before they were made."""
    if peak is None:
        return None
    return max(peak - copies, before or 0)


class Deadlines(msgspec.Struct, frozen=True):
    """Times on the worker's clock, in seconds, by which sampling has to end.

    Attributes:
        limit_s: shortly before the worker's time limit; a step that would end later is not started.
        budget_s: end of the process's share of the run's total budget; afterwards only the minimum numbers of steps
            are taken. None if the run has no total budget.

    """

    limit_s: float
    budget_s: float | None = None


def sampling_rules(prepared: PreparedCase, half_width: float | None) -> tuple[Warmup, TimedSteps]:
    """Return the rules that end the warm-up and the timed steps, of which at least one is taken.

    The share of the total budget and the time limit are deadlines of both. Of the share, the warm-up may use as much as
    its own budget has of both budgets.

    Args:
        prepared: the case, with its sampling configuration and deadlines.
        half_width: as in `xibench.measure.stopping.Limits`. None for queries: percentiles take a fixed number of
            samples, however precisely the median is known.
    """
    sampling, moments = prepared.sampling, prepared.deadlines
    warmup_limits = WarmupLimits(sampling.warmup_steps, sampling.max_warmup_steps, sampling.warmup_budget_s)
    limits = Limits(sampling.min_steps, sampling.max_steps, sampling.budget_s, half_width)
    time_limit = Deadline(moments.limit_s, f"time_limit_s {sampling.time_limit_s}")
    if moments.budget_s is None:
        return Warmup(warmup_limits, deadlines=[time_limit]), TimedSteps(limits, deadlines=[time_limit])
    budget = Deadline(moments.budget_s, f"total_budget_s {sampling.total_budget_s}", sampling.min_steps)
    share = sampling.warmup_budget_s / (sampling.warmup_budget_s + sampling.budget_s)
    warmup_budget = replace(budget, min_steps=sampling.warmup_steps, share=share)
    return (
        Warmup(warmup_limits, deadlines=[warmup_budget, time_limit]),
        TimedSteps(limits, deadlines=[budget, time_limit]),
    )
