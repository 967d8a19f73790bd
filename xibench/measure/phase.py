"""The phases of one measurement, from the start of its process to the last timed step."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """The current activity of a worker. Values are labels shown to users; code compares members.

    The timed steps, and the window for energy, are between TIMING and DONE.
    """

    START = "start"
    IMPORT = "import"
    BUILD = "build"
    COMPILE = "compile"
    FIRST_STEP = "first step"
    WARM_UP = "warm-up"
    TIMING = "timing"
    DONE = "done"


class PhaseListener(Protocol):
    """Callbacks that report the progress of a measurement."""

    def on_phase(self, phase: Phase) -> None:
        """Called when a phase begins."""

    def on_progress(self, text: str) -> None:
        """Called with the current activity, as text for users."""
