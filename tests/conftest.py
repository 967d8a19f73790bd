from __future__ import annotations

import signal

import pytest

from frameworks import allocator

# What a shell starts in its background ignores Ctrl-C, and so would every process that a test starts. A signal that is
# handled, rather than ignored, is back at its default in a new process.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def allocator_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that keeps memory would keep it for every test that this process runs after it."""
    monkeypatch.setattr(allocator, "keep", lambda: True)
