"""How an ending that is not a measurement is put into one line: an exception in a worker, or the worker's own end."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from typing import Final, Literal

# torch.OutOfMemoryError, tf.errors.ResourceExhaustedError
NAMES: Final = ("OutOfMemoryError", "ResourceExhaustedError")
TEXTS: Final = (
    "RESOURCE_EXHAUSTED",  # XLA
    "out of memory",  # CUDA
    "can't allocate memory",  # PyTorch's CPU allocator
    "std::bad_alloc",  # C++
    "ALLOC_FAILED",  # cuBLAS, cuDNN
)


def status_of(error: BaseException) -> Literal["out_of_memory", "failed"]:
    """Whether memory ran out. Frameworks share no class for that: names and texts of all its causes are read."""
    out_of_memory = any(
        isinstance(link, MemoryError) or type(link).__name__ in NAMES or any(text in str(link) for text in TEXTS)
        for link in _chain(error)
    )
    return "out_of_memory" if out_of_memory else "failed"


def one_line(error: BaseException, width: int = 300) -> str:
    """`Type: message` in one line of at most `width` characters."""
    text = " ".join(f"{type(error).__name__}: {error}".removesuffix(": ").split())
    return text if len(text) <= width else text[: width - 1] + "…"


def exit_reason(code: int, phase: str) -> str:
    """Why a worker is gone that gave no result; `code` as subprocess has it, negative for a signal."""
    if code >= 0:
        return f"the worker exited with code {code} during {phase}, without a result"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = "; perhaps by the kernel's out-of-memory killer: try a smaller batch" if -code == signal.SIGKILL else ""
    return f"the worker was killed by {name} during {phase}{hint}"


def memory_reason(held_bytes: int, limit_bytes: int, phase: str) -> str:
    """Why a worker was killed that held too much memory; what it held is rounded up and its limit down.

    So the one reads as more than the other, also where it is so by less than a tenth of a mebibyte.
    """
    held = f"{math.ceil(held_bytes * 10 / 2**20) / 10:.1f} MiB"
    limit = f"{math.floor(limit_bytes * 10 / 2**20) / 10:.1f} MiB"
    return f"the worker held {held} of memory during {phase}, more than its limit of {limit}, and was killed"


def killed_for_memory(phase: str) -> str:
    """Why a worker is gone that was killed while the kernel's out-of-memory killer was at work."""
    return f"the worker was killed by SIGKILL during {phase}; the kernel counts one process more that ran out of memory"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
