"""How a worker is started and killed: in a session of its own, with a pipe of its own for its answers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, Final

LOG_BYTES: Final = 16 * 1024  # of a worker's last output, kept as text
CHUNK_BYTES: Final = 64 * 1024


def spawn(
    command: Sequence[str], environment: Mapping[str, str], output: int | IO[bytes]
) -> tuple[subprocess.Popen[bytes], int]:
    """The worker, and the end of the pipe from which its answers are read.

    The pipe's other end is the command's last argument. A session of its own: Ctrl-C reaches the parent alone, and
    the worker and its children can be killed as one. output: where standard output and error go. Raises OSError.
    """
    answers, theirs = os.pipe()
    try:
        child = subprocess.Popen(
            [*command, str(theirs)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs,),
            start_new_session=True,
        )
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(theirs)
    return child, answers


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kills the worker and its children and waits for it; once only, for its number may be another's by then."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for a group of zombies
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
