"""The host's usable cores, and its CPU's name and features. Imports no framework."""

from __future__ import annotations

import os
import platform

from frameworks.manifest import Substitution
from frameworks.precision import Device, Precision


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux lists them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
    except OSError:
        return frozenset()


def cpu_name() -> str:
    """The CPU's model name as Linux gives it, or the architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def bf16_on_cpu(library: str, precision: Precision, device: Device) -> tuple[Substitution, ...]:
    """What bf16 on a CPU runs on without a matrix unit; empty for other cases and for a CPU that has one (AMX).

    library: the one that computes convolutions, such as oneDNN or XLA.
    """
    flags = cpu_flags()
    if precision != "bf16" or device != "cpu" or "amx_bf16" in flags:
        return ()
    best = "avx512_bf16 instructions at best" if "avx512_bf16" in flags else "conversions to float32"
    return (Substitution("a matrix unit for bf16", "this CPU has no amx_bf16", f"{library} with {best}"),)
