"""glibc's allocator, set to keep what is freed: for recipes whose arrays would go back to the kernel in every step.

An array of some MiB is mapped by itself and unmapped when it is freed; the next one of that size has each of its pages
zeroed and mapped anew. Imports no framework.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

from frameworks.manifest import Absent

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # malloc.h
MAX_INT: Final = 2**31 - 1
LARGE_BYTES: Final = 2**26
VARIABLES: Final[Mapping[str, str]] = {
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(MAX_INT),
}  # fmt: skip
"""What `keep` sets, as glibc reads it from the environment when a process starts (mallopt(3))."""


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2; hblks: arrays that are mapped by themselves."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def keep() -> bool:
    """From now on freed memory stays with the process. Returns whether the C library can do that.

    One arena, since another one than the first maps what is large. Best before the framework starts its threads:
    those that have an arena already stay with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    wanted = ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, MAX_INT))
    done = [mallopt(*pair) for pair in wanted] if mallopt else [0]
    return all(code == 1 for code in done)


def kept() -> bool | Absent:
    """Whether what is large is taken from memory that the process keeps, by trying it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return Absent("this C library has no mallinfo2 to tell by")
    libc.mallinfo2.restype = _Mallinfo
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    before = libc.mallinfo2().hblks
    array = libc.malloc(ctypes.c_size_t(LARGE_BYTES))
    mapped = libc.mallinfo2().hblks > before
    libc.free(array)
    return not mapped
