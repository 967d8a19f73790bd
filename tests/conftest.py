from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from frameworks import process

# Waiting OpenMP threads must not spin: on cores that other tests or programs use, they would take time from the thread
# that they wait for. OpenMP reads the variable when the first framework is imported, and workers inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Background jobs of a shell ignore SIGINT, and so would all processes that a test starts. A handled signal, in contrast
# to an ignored one, is reset to its default in a new process.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _keep_nothing() -> bool:
    """Replace `process.keep_memory`, whose effect would persist for all following tests of this process."""
    return True


_keep_nothing.__wrapped__ = process.keep_memory  # type: ignore[attr-defined]
process.keep_memory = _keep_nothing


@pytest.fixture(autouse=True)
def kept_denormals() -> None:
    """Reset this thread's mode: a program of PyTorch whose recipe flushes denormals leaves it set for what follows."""
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip slow tests once it is later than XIBENCH_SLOW_UNTIL, in seconds since 1970: CI has limited time."""
    until = float(os.environ.get("XIBENCH_SLOW_UNTIL", "inf"))
    if item.get_closest_marker("slow") and time.time() > until:
        pytest.skip("XIBENCH_SLOW_UNTIL has passed; `make slow` runs all slow tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests last, so that they are the ones for which the time of XIBENCH_SLOW_UNTIL is too short."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is not None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite the golden files of tests/golden")
