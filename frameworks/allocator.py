"""Configure glibc's allocator to keep freed memory instead of returning it to the kernel.

By default an array of some MiB gets its own mapping, which is unmapped when the array is freed; for the next array of
that size the kernel maps and zeroes every page again. A recipe can avoid this cost in each step. Imports no framework.
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
"""The same as `keep`, as environment variables that glibc reads when a process starts (mallopt(3))."""


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2; hblks is the number of allocations with their own mapping."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def keep() -> bool:
    """Keep freed memory in this process from now on. Returns whether the C library supports that.

    All threads are to share one arena, since only the first arena takes large allocations from the heap. Call it before
    the framework starts its threads: a thread keeps the arena that it has.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    options = ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, MAX_INT))
    results = [mallopt(*option) for option in options] if mallopt else [0]
    return all(result == 1 for result in results)


def kept() -> bool | Absent:
    """Whether large allocations come from memory that the process keeps; found out by making one."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return Absent("this C library has no mallinfo2")
    libc.mallinfo2.restype = _Mallinfo
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    before = libc.mallinfo2().hblks
    array = libc.malloc(ctypes.c_size_t(LARGE_BYTES))
    mapped = libc.mallinfo2().hblks > before
    libc.free(array)
    return not mapped
