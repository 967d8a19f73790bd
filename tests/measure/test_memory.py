from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xibench.measure import memory
from xibench.measure.memory import HighWaterMark

MIB = 1024 * 1024


def test_a_buffer_that_was_freed_again_shows_in_the_peak() -> None:
    mark = HighWaterMark()
    np.ones(64 * MIB, np.uint8).sum()
    peak = mark.read().peak_bytes
    assert peak is not None
    assert 60 * MIB < peak - mark.baseline_bytes < 90 * MIB


def test_a_peak_before_the_baseline_does_not_show() -> None:
    np.ones(64 * MIB, np.uint8).sum()
    mark = HighWaterMark()
    peak = mark.read().peak_bytes
    assert peak is None or peak - mark.baseline_bytes < 20 * MIB


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
