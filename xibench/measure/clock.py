"""Clocks: the one that measures, and a fake one that ships so that tests of the loop are exact and instant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

SPIN_S: Final = 0.0005  # the last part of a wait is not slept: the kernel wakes a sleeper up to about 0.1 ms late


class Clock(Protocol):
    """What the loop reads."""

    @property
    def name(self) -> str:
        """What it is, with the platform's clock behind it."""

    @property
    def resolution_s(self) -> float | None:
        """Smallest difference that it can show, as the platform states it; None where that says nothing."""

    def now(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def wait_until(self, moment_s: float) -> None:
        """Returns once `now()` is at `moment_s`, at once if it is past."""


class MonotonicClock:
    """Python's `time.perf_counter`: monotonic, the finest clock of the platform."""

    @property
    def name(self) -> str:
        """`time.perf_counter` and the platform's clock behind it."""
        return f"time.perf_counter, {time.get_clock_info('perf_counter').implementation}"

    @property
    def resolution_s(self) -> float | None:
        """As the platform states it; differences below the cost of a reading are not seen, whatever it states."""
        return time.get_clock_info("perf_counter").resolution

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()

    def wait_until(self, moment_s: float) -> None:
        """Sleeps, and reads the clock through the last half millisecond."""
        while (left := moment_s - time.perf_counter()) > 0:
            if left > SPIN_S:
                time.sleep(left - SPIN_S)


@dataclass(slots=True)
class FakeClock:
    """A clock that only moves when it is advanced. Tests advance it where real work would take time."""

    time_s: float = 0.0
    read_s: float = 0.0  # what each reading takes

    @property
    def name(self) -> str:
        """Says that nothing was measured with it."""
        return "fake clock"

    @property
    def resolution_s(self) -> float | None:
        """None: it shows any difference."""
        return None

    def now(self) -> float:
        """The time that it was last set to, and what reading it took."""
        self.time_s += self.read_s
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass."""
        self.time_s += seconds

    def wait_until(self, moment_s: float) -> None:
        """Lets the time pass until `moment_s`; stays where it is if that is past."""
        self.time_s = max(self.time_s, moment_s)


def read_cost_s(clock: Clock, batches: int = 25, readings: int = 100) -> float:
    """What one reading of the clock takes, in seconds: median over batches of readings one after another."""
    return median(_batch_s(clock, readings) / readings for _ in range(batches))


def _batch_s(clock: Clock, readings: int) -> float:
    began = clock.now()
    for _ in range(readings - 1):
        clock.now()
    return clock.now() - began
