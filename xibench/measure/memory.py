"""Peak resident memory of this process since a chosen moment.

Linux keeps a high-water mark (VmHWM) that writing 5 to /proc/self/clear_refs sets back to the present size (proc(5)).
Where that is not allowed, `getrusage` has the peak since the process began: it says something about the time since
the baseline only if it has grown since then.
"""

from __future__ import annotations

import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc/self")
RESET: Final = "VmHWM, reset at the baseline through /proc/self/clear_refs"
SINCE_START: Final = "getrusage ru_maxrss, which cannot be reset; known only where it grew after the baseline"


@dataclass(frozen=True, slots=True)
class HostPeak:
    """A peak of the resident set in bytes; None where it is not known, with the reason."""

    peak_bytes: int | None
    absent: str | None


class HighWaterMark:
    """The peak of this process's resident set from the moment at which the object was made."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._resettable = _reset(proc)
        self._maxrss_bytes = _maxrss_bytes()
        self.method = RESET if self._resettable else SINCE_START
        self.baseline_bytes: int = psutil.Process().memory_info().rss

    def read(self) -> HostPeak:
        """The peak until now."""
        if self._resettable:
            return HostPeak(_high_water_bytes(self._proc), None)
        now = _maxrss_bytes()
        if now > self._maxrss_bytes:
            return HostPeak(now, None)
        return HostPeak(None, "stayed below the peak of importing the framework, and the mark cannot be reset here")


def _reset(proc: Path) -> bool:
    try:
        (proc / "clear_refs").write_text("5")
        return _high_water_bytes(proc) is not None
    except OSError:
        return False


def _high_water_bytes(proc: Path) -> int | None:
    found = re.search(r"^VmHWM:\s+(\d+) kB", (proc / "status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _maxrss_bytes() -> int:
    """ru_maxrss is in kibibytes, but in bytes on macOS (getrusage(2) of either)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
