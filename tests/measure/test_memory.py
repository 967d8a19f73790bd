from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xibench.measure import memory
from xibench.measure.memory import HighWaterMark

MIB = 1024 * 1024


def grown_bytes(before: str = "", after: str = "") -> int | None:
    """By how much the peak exceeds the baseline in a process of its own, where no other thread frees memory meanwhile.

    before, after: what the process does before its baseline and after it.
    """
    script = f"""
import numpy as np
from xibench.measure.memory import HighWaterMark
{before}
mark = HighWaterMark()
{after}
peak = mark.read().peak_bytes
print(None if peak is None else peak - mark.baseline_bytes)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    return None if printed == "None" else int(printed)


BUFFER = f"np.ones({64 * MIB}, np.uint8).sum()"


def test_a_buffer_that_was_freed_again_shows_in_the_peak() -> None:
    grown = grown_bytes(after=BUFFER)
    assert grown is not None
    assert 60 * MIB < grown < 90 * MIB


def test_a_peak_before_the_baseline_does_not_show() -> None:
    grown = grown_bytes(before=BUFFER)
    assert grown is None or grown < 20 * MIB


def test_where_the_mark_cannot_be_reset_a_peak_that_did_not_grow_is_absent_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_maxrss_bytes", lambda: 500 * MIB)
    mark = HighWaterMark(tmp_path / "no-such-proc")
    read = mark.read()
    assert mark.method == memory.SINCE_START
    assert read.peak_bytes is None
    assert "cannot be reset" in (read.absent or "")


def test_where_the_mark_cannot_be_reset_a_peak_that_grew_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([500 * MIB, 700 * MIB])
    monkeypatch.setattr(memory, "_maxrss_bytes", lambda: next(peaks))
    assert HighWaterMark(tmp_path / "no-such-proc").read().peak_bytes == 700 * MIB
