"""The monotonic clock that times steps, and a fake clock for exact and fast tests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

SPIN_S: Final = 0.0005  # busy-wait for the last part of a wait: the kernel wakes a sleeper up to about 0.1 ms late


class Clock(Protocol):
    """The interface of the timing loop to a clock."""

    @property
    def name(self) -> str:
        """Name for the record, including the platform's clock behind it."""

    @property
    def resolution_s(self) -> float | None:
        """Smallest difference in seconds that the platform promises to resolve; None if not applicable."""

    def now(self) -> float:
        """Return the seconds since an arbitrary moment; never decreases."""

    def wait_until(self, moment_s: float) -> None:
        """Return when `now()` has reached `moment_s`; immediately if that is in the past."""


class MonotonicClock:
    """Python's `time.perf_counter`: monotonic, the clock with the highest resolution on the platform."""

    name: Final = f"time.perf_counter, {time.get_clock_info('perf_counter').implementation}"
    resolution_s: Final[float | None] = time.get_clock_info("perf_counter").resolution

    def now(self) -> float:
        """Return the seconds since an arbitrary moment."""
        return time.perf_counter()

    def wait_until(self, moment_s: float) -> None:
        """Sleep until half a millisecond before the moment, then busy-wait."""
        while (left := moment_s - time.perf_counter()) > 0:
            if left > SPIN_S:
                time.sleep(left - SPIN_S)


@dataclass(slots=True)
class FakeClock:
    """A clock for tests, whose time changes only when it is advanced or read."""

    time_s: float = 0.0
    read_s: float = 0.0  # duration of each reading
    name: str = "fake clock"
    resolution_s: float | None = None

    def now(self) -> float:
        """Return the time, after advancing it by the duration of a reading."""
        self.time_s += self.read_s
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Advance the time by `seconds`."""
        self.time_s += seconds

    def wait_until(self, moment_s: float) -> None:
        """Advance the time to `moment_s` unless that is in the past."""
        self.time_s = max(self.time_s, moment_s)


def read_cost_s(clock: Clock, batches: int = 25, readings: int = 100) -> float:
    """Return the duration of one clock reading in seconds: the median over batches of consecutive readings."""
    costs = []
    for _ in range(batches):
        began = clock.now()
        for _ in range(readings - 1):
            clock.now()
        costs.append((clock.now() - began) / readings)
    return median(costs)
