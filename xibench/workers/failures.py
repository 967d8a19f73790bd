"""From an exception in a job to the Failure message that reports it."""

from __future__ import annotations

from typing import Final

from frameworks.errors import MissingFramework, Unsupported
from xibench.workers.messages import Failure

# torch.OutOfMemoryError, tf.errors.ResourceExhaustedError
OUT_OF_MEMORY_NAMES: Final = ("OutOfMemoryError", "ResourceExhaustedError")
OUT_OF_MEMORY_TEXTS: Final = (
    "RESOURCE_EXHAUSTED",  # XLA
    "out of memory",  # CUDA
    "can't allocate memory",  # PyTorch's CPU allocator
    "std::bad_alloc",  # C++
    "ALLOC_FAILED",  # cuBLAS, cuDNN
)
MAX_REASON: Final = 300  # characters


def failure(error: BaseException) -> Failure:
    """Return the failure that an exception stands for, with a reason in one line.

    Frameworks share no exception class for lack of memory: it is recognised by the names and texts of the exception and
    all of its causes.
    """
    reason = " ".join(str(error).split())
    if isinstance(error, MissingFramework | Unsupported):
        return Failure(status="unsupported", reason=reason, missing=isinstance(error, MissingFramework))
    name = type(error).__name__
    reason = f"{name}: {reason}" if reason else name
    if len(reason) > MAX_REASON:
        reason = reason[: MAX_REASON - 1] + "…"
    link: BaseException | None = error
    while link is not None:
        by_name = isinstance(link, MemoryError) or type(link).__name__ in OUT_OF_MEMORY_NAMES
        if by_name or any(text in str(link) for text in OUT_OF_MEMORY_TEXTS):
            return Failure(status="out_of_memory", reason=reason)
        link = link.__cause__ or link.__context__
    return Failure(status="failed", reason=reason)
