"""A clock whose time changes only when it is advanced or read, for exact and fast tests."""

from __future__ import annotations

from dataclasses import dataclass


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
