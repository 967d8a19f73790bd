"""What every worker does around its work: takes one request, answers on its pipe, and ends when its parent has.

The request comes as a line on standard input, answers go to the inherited pipe. When standard input ends, the parent
is gone, and the worker ends too: nothing of a killed run stays busy on the cores.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TypeVar

import msgspec

from frameworks.errors import MissingFramework, Unsupported
from xibench.workers.failures import one_line, status_of
from xibench.workers.messages import Answer, Ceilings, Measured, Referenced, Refused

Asked = TypeVar("Asked")
Done = Measured | Ceilings | Referenced
Work = Callable[[Asked, Callable[[Answer], None]], Done]


def serve_parent(kind: type[Asked], work: Work[Asked]) -> None:
    """Takes the request, does the work and answers. The number of the pipe is the process's first argument."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(answer: Answer) -> None:
        os.write(pipe, msgspec.json.encode(answer) + b"\n")

    say(answered(work, request, say))


def answered(work: Work[Asked], request: Asked, say: Callable[[Answer], None]) -> Done | Refused:
    """What the work gives. What goes wrong is the answer too, and its traceback goes to standard error."""
    try:
        return work(request, say)
    except (MissingFramework, Unsupported) as error:
        return Refused("unsupported", " ".join(str(error).split()))
    except Exception as error:  # whatever a framework raises is this worker's result, not the end of the run
        traceback.print_exc()
        return Refused(status_of(error), one_line(error))


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
