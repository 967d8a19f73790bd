"""The process that runs a framework, and its CPU. Imports no framework.

Some settings must be made before a framework is imported: the memory allocator and the number of threads. A worker is
started with the variables of `process_environment`; `configure_process` makes the same settings in a process that is
already running, and reports those that are no longer possible.

By default glibc gives an array of some MiB its own mapping, which is unmapped when the array is freed; for the next
array of that size the kernel maps and zeroes every page again. With `memory=kept` a recipe avoids this cost.

Some processors compute with denormal numbers (below 1.2e-38 in float32) many times more slowly, unless they flush them
to zero. TensorFlow and XLA switch to that mode on their threads; PyTorch does so only on request.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frameworks.api import Framework
from frameworks.manifest import Absent, Reading, Substitution
from frameworks.recipes import AUTOMATIC, Execution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
MIN_PROGRAMS_BYTES: Final = 2**28
"""Free space for the compiled programs of one process. TorchInductor's precompiled header takes 150 MB."""
UNQUOTED: Final = re.compile(r"[\s'\"\\]")
"""What splits or ends a path that stands in a command without quotes."""
DENORMAL_BITS: Final = 0x00400000  # 2**-127 in float32
PER_THREAD: Final = 2**15  # elements below which PyTorch does not give a thread a share of an operation
ROUNDING: Final = {0b011: "nearest", 0b110: "up", 0b001: "down", 0b000: "toward zero"}
"""Rounding mode by the last bits of the three products of `arithmetic` that are not exact."""
Multiply = Callable[["NDArray[np.float32]", "NDArray[np.float32]"], "NDArray[np.float32]"]


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


def unusable_for_programs(folder: str) -> str | None:
    """Why compiled programs cannot be built in a folder and loaded from it, as a phrase; None if they can.

    TorchInductor does not quote the paths of what it compiles, and a mount may forbid to write or to execute.
    """
    if UNQUOTED.search(folder):
        return "its path has a space, a quotation mark or a backslash"
    existing = next(parent for parent in (Path(folder).absolute(), *Path(folder).absolute().parents) if parent.is_dir())
    if not os.access(existing, os.W_OK | os.X_OK):
        return "it cannot be written"
    if hasattr(os, "statvfs") and os.statvfs(existing).f_flag & getattr(os, "ST_NOEXEC", 0):
        return "it is mounted noexec"
    free = shutil.disk_usage(existing).free
    if free < MIN_PROGRAMS_BYTES:
        return f"it has {free >> 20} MiB free, expected at least {MIN_PROGRAMS_BYTES >> 20} MiB"
    return None


def programs_folder() -> str:
    """The folder for temporary files, or the first other one that compiled programs can be loaded from, if any."""
    usual = tempfile.gettempdir()
    others = ("/tmp", "/var/tmp", "/dev/shm", str(Path.home()))
    return next((folder for folder in (usual, *others) if unusable_for_programs(folder) is None), usual)


def arithmetic(multiply: Multiply) -> dict[str, Reading]:
    """The modes of the processor in which a framework computes, found out by multiplying: `denormals` and `rounding`.

    A mode belongs to a thread, so the vectors are long enough for every thread to get a share.

    Args:
        multiply: returns the products of two vectors, as the framework computes them on the case's device.
    """
    import numpy as np  # not needed by the process that starts workers

    # A denormal number times 1/2; then a product that is 1/8, 7/8 and -7/8 of a unit beyond a number with last bit 0.
    step, shares = 2.0**-13, PER_THREAD * 2 * usable_cores()
    left = np.tile(np.array([1, 1 + step, 1 + step, 1 + step], np.float32), shares)
    left.view(np.uint32)[::4] = DENORMAL_BITS  # as bits: this thread itself may flush
    right = np.tile(np.array([0.5, 1 + step, 1 + 7 * step, -1 - 7 * step], np.float32), shares)
    products = np.ascontiguousarray(multiply(left, right)).view(np.uint32).reshape(-1, 4)
    flushed = products[:, 0] == 0
    modes = np.unique((products[:, 1:] & np.uint32(1)) @ np.array([4, 2, 1], np.uint32))
    return {
        "denormals": "flushed" if flushed.all() else "flushed by some threads" if flushed.any() else "kept",
        "rounding": ROUNDING[int(modes[0])] if len(modes) == 1 else "differs between threads",
    }


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
