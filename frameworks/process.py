"""The process that runs a framework, and its CPU. Imports no framework.

Some settings must be made before a framework is imported: the memory allocator and the number of threads. A worker is
started with the variables of `process_environment`; `configure_process` makes the same settings in a process that is
already running, and reports those that are no longer possible.

By default glibc gives an array of some MiB its own mapping, which is unmapped when the array is freed; for the next
array of that size the kernel maps and zeroes every page again. With `memory=kept` a recipe avoids this cost.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from typing import Final

from frameworks.api import Framework
from frameworks.manifest import Absent, Substitution
from frameworks.recipes import AUTOMATIC, Execution

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # malloc.h
MAX_INT: Final = 2**31 - 1
LARGE_BYTES: Final = 2**26
MALLOC_VARIABLES: Final[Mapping[str, str]] = {
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(MAX_INT),
}  # fmt: skip
"""The same as `keep_memory`, as environment variables that glibc reads when a process starts (mallopt(3))."""
NO_MALLOPT: Final = Substitution(
    "memory kept by the allocator", "this C library has no mallopt", "the allocator's defaults"
)


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2; hblks is the number of allocations with their own mapping."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def process_environment(framework: Framework, execution: Execution) -> dict[str, str]:
    """Environment variables for a process that is to run this execution; empty if it needs none."""
    choices = execution.recipe.choices
    variables = dict(MALLOC_VARIABLES) if choices.get("memory") == "kept" else {}
    threads = choices.get("threads", AUTOMATIC)
    if framework.threads_variable and threads != AUTOMATIC:
        variables[framework.threads_variable] = threads
    return variables


def configure_process(framework: Framework, execution: Execution) -> tuple[Substitution, ...]:
    """Make the settings of an execution in this process, as far as its environment has not made them already.

    Call it before the framework is imported. Later the allocator can still be set, the number of threads cannot.

    Returns:
        What was not possible, and what the process uses instead.
    """
    choices = execution.recipe.choices
    missing: list[Substitution] = []
    if choices.get("memory") == "kept" and memory_kept() is not True and not keep_memory():
        missing.append(NO_MALLOPT)
    threads, variable = choices.get("threads", AUTOMATIC), framework.threads_variable
    if variable and threads != AUTOMATIC and os.environ.get(variable) != threads:
        if framework.module in sys.modules:
            why = "the framework had started its threads already"
            missing.append(Substitution(f"{threads} threads", why, "the number that it chose"))
        else:
            os.environ[variable] = threads
    return tuple(missing)


def keep_memory() -> bool:
    """Keep freed memory in this process from now on. Returns whether the C library supports that.

    All threads are to share one arena, since only the first arena takes large allocations from the heap. Call it before
    the framework starts its threads: a thread keeps the arena that it has.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    options = ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, MAX_INT))
    results = [mallopt(*option) for option in options] if mallopt else [0]
    return all(result == 1 for result in results)


def memory_kept() -> bool | Absent:
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


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The CPU's model name as Linux gives it, or the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux lists them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
    except OSError:
        return frozenset()


def missing_bf16_unit(library: str) -> tuple[Substitution, ...]:
    """What bf16 runs on if the CPU has no matrix unit for it (AMX); empty if it has one.

    library: the one that computes convolutions, such as oneDNN or XLA.
    """
    flags = cpu_flags()
    if "amx_bf16" in flags:
        return ()
    best = "avx512_bf16 instructions at best" if "avx512_bf16" in flags else "conversions to float32"
    return (Substitution("a matrix unit for bf16", "this CPU has no amx_bf16", f"{library} with {best}"),)
