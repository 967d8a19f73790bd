from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xibench.measure import memory
from xibench.measure.memory import HighWaterMark, ResidentSet, oom_kills

MIB = 1024 * 1024


def grown_bytes(before: str = "", after: str = "") -> int | None:
    """Return by how many bytes the peak of a fresh process exceeds its baseline; None if the peak is unknown.

    Args:
        before: Code that the process runs before its baseline.
        after: Code that it runs afterwards.
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


def test_a_buffer_that_was_freed_is_part_of_the_peak() -> None:
    grown = grown_bytes(after=BUFFER)
    assert grown is not None
    assert 60 * MIB < grown < 90 * MIB


def test_a_peak_before_the_baseline_is_not_part_of_it() -> None:
    grown = grown_bytes(before=BUFFER)
    assert grown is None or grown < 20 * MIB


def test_if_the_mark_cannot_be_reset_a_peak_that_did_not_grow_is_absent_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_maxrss_bytes", lambda: 500 * MIB)
    mark = HighWaterMark(tmp_path / "no-such-proc")
    read = mark.read()
    assert mark.method == memory.SINCE_START
    assert read.peak_bytes is None
    assert "cannot be reset" in (read.absent or "")


def test_if_the_mark_cannot_be_reset_a_peak_that_grew_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([500 * MIB, 700 * MIB])
    monkeypatch.setattr(memory, "_maxrss_bytes", lambda: next(peaks))
    assert HighWaterMark(tmp_path / "no-such-proc").read().peak_bytes == 700 * MIB


def test_processes_killed_for_lack_of_memory_are_counted_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 3\nswap_ra 0\n")
    assert oom_kills(tmp_path / "vmstat") == 3
    assert oom_kills(tmp_path / "none") is None


PARENT = """
import subprocess, sys
hoard = "hoard = b'x' * (64 << 20); print(flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", hoard], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(flush=True)  # the child holds its memory
input()
child.communicate(b"\\n")
print(flush=True)  # the child is gone
input()
"""


def test_children_count_once_they_are_found_and_quiet_does_not_search_for_them() -> None:
    now = 0.0
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        held = ResidentSet(parent.pid, lambda: now)
        alone = held.total_bytes(quiet=False)
        now = 5.0
        assert held.total_bytes(quiet=True) < alone + 32 * 2**20
        assert held.total_bytes(quiet=False) > alone + 60 * 2**20
        print(file=parent.stdin)
        parent.stdout.readline()
        assert held.total_bytes(quiet=True) < alone + 32 * 2**20
        print(file=parent.stdin)


def test_a_process_that_has_exited_holds_no_memory() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert ResidentSet(done.pid).total_bytes(quiet=False) == 0
