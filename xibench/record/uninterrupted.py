"""Steps that Ctrl-C and other signals do not interrupt: what arrives meanwhile is handled after them."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command, each as Ctrl-C does."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Run the body of a with statement to its end, even if a signal arrives, which is then handled after it.

    Raises:
        KeyboardInterrupt: After the body, if a signal arrived that ends the command.
    """
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    try:
        if threading.current_thread() is threading.main_thread():  # no other thread is interrupted, or may set handlers
            for number in ENDING:
                if callable(handler := signal.getsignal(number)):
                    handlers[number] = handler
                    signal.signal(number, remember)
        yield
    finally:
        for replaced, handler in handlers.items():
            signal.signal(replaced, handler)
        if arrived:
            handlers[arrived[0]](arrived[0], None)


class ScratchFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder, which no signal leaves behind. Use as a context manager; raises OSError.

    Args:
        prefix: Beginning of its name.
        folder: Where it is created; None: the usual place for temporary files.
    """

    def __init__(self, prefix: str, folder: str | None = None) -> None:
        try:
            with uninterrupted():
                super().__init__(prefix=prefix, dir=folder)
        except KeyboardInterrupt:
            self.cleanup()
            raise

    def cleanup(self) -> None:
        """Delete the folder with what it contains."""
        with uninterrupted():
            super().cleanup()
