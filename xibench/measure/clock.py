"""Clocks: the one that measures, and a fake one that ships so that tests of the loop are exact and instant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """What the loop reads."""

    @property
    def description(self) -> str:
        """Name and resolution, for the record."""

    def now(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""


class MonotonicClock:
    """Python's `time.perf_counter`: monotonic, the finest clock of the platform."""

    @property
    def description(self) -> str:
        """Name, the platform's clock behind it, and its resolution."""
        info = time.get_clock_info("perf_counter")
        return f"time.perf_counter, {info.implementation}, resolution {info.resolution:.0e} s"

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()


@dataclass(slots=True)
class FakeClock:
    """A clock that stands still until it is told otherwise. Tests advance it where real work would take time."""

    time_s: float = 0.0

    @property
    def description(self) -> str:
        """Says that nothing was measured with it."""
        return "fake clock"

    def now(self) -> float:
        """The time that it was last set to."""
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass."""
        self.time_s += seconds
