"""Rotation of inputs: as many copies of the batch as it takes that none is found in the last-level cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from xibench.measure.machine import buffers_needed, last_level_cache_bytes
from xibench.measure.phase import Phase
from xibench.scenarios.prepared import Peaks, PreparedCase

GPU_CACHE_BYTES: Final = 128 * 2**20
"""No NVIDIA GPU has a larger L2 cache: 50 MB on an H200, 126 MB on a B200."""


class InputRotation:
    """Copies of the input, made once the first step is over, and the memory peaks with and without them.

    The copies are resident from the warm-up on, so that what later peaks are above them is the model's.

    Args:
        prepared: the case.
        first: the input of the first step, which exists already.
        another: makes a further copy.
        host_bytes, device_bytes: size of one copy there; 0 where it takes no memory.

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
        """Return what step `number` takes."""
        return self._inputs[number % len(self._inputs)]

    def on_phase(self, phase: Phase) -> None:
        """Make the copies before the warm-up; pass every phase on."""
        if phase is Phase.WARM_UP:
            self._before = self._now()
            self._inputs += [self._another() for _ in range(self.count - 1)]
        self._prepared.on_phase(phase)

    def peaks(self) -> Peaks:
        """Return the high-water marks until now, less the copies."""
        now, before = self._now(), self._before
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

    def _now(self) -> Peaks:
        return Peaks(self._prepared.mark.read(), self._prepared.program.device_memory())


def without_copies(peak: int | None, copies: int, before: int | None) -> int | None:
    """Return a peak without the bytes of the copies, but never less than it was before there were any."""
    if peak is None:
        return None
    return max(peak - copies, before or 0)
