from __future__ import annotations

import os
import signal

import pytest

from frameworks import allocator

# Threads that wait for each other must not spin meanwhile: on cores that other tests or programs use, they would take
# the time from the thread that they wait for. OpenMP reads this when the first framework is imported, and workers
# inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What a shell starts in its background ignores Ctrl-C, and so would every process that a test starts. A signal that is
# handled, rather than ignored, is back at its default in a new process.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _told_to_keep() -> bool:
    """In place of `allocator.keep`: what a recipe kept would be kept for every test that this process runs after it."""
    return True


_told_to_keep.__wrapped__ = allocator.keep  # type: ignore[attr-defined]
allocator.keep = _told_to_keep


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="write the golden files of tests/golden anew")
