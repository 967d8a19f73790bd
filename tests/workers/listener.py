"""A listener that records the phases and progress of a job."""

from __future__ import annotations

from xibench.measure.phase import Phase


class RecordingListener:
    """Phases and progress in the order in which they came."""

    def __init__(self) -> None:
        self.heard: list[Phase | str] = []

    def on_phase(self, phase: Phase) -> None:
        self.heard.append(phase)

    def on_progress(self, text: str) -> None:
        self.heard.append(text)
