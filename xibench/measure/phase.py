"""The phases of one measurement, from the start of its process to the last timed step."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """What a worker is doing. The value is what people read; code compares members.

    The timed steps, and with them the window for energy, lie between TIMING and DONE.
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
    """Who follows a measurement."""

    def on_phase(self, phase: Phase) -> None:
        """Called when a phase begins."""

    def on_progress(self, text: str) -> None:
        """Called with what is being done, in words for people."""
