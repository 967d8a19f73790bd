"""The processor's last-level cache, and how many copies of a batch it takes so that none waits in it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

CPUS: Final = Path("/sys/devices/system/cpu")
MAX_BUFFERS: Final = 8
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def last_level_cache_bytes(cpus: Path = CPUS, cores: Collection[int] | None = None) -> int | None:
    """Size of the last-level caches that the usable cores reach, together, in bytes; None where it is not known.

    cores: their numbers; None: those of this process's affinity. A cache that several cores share counts once.
    """
    sizes: dict[tuple[str, ...], int] = {}
    for core in os.sched_getaffinity(0) if cores is None else cores:
        caches = [cache for index in (cpus / f"cpu{core}" / "cache").glob("index*") if (cache := _cache(index))]
        if not caches:
            return None
        level, shared, size = max(caches)
        sizes[(str(level), shared)] = size
    return sum(sizes.values()) or None


def buffers_needed(batch_bytes: int, cache_bytes: int | None, most: int = MAX_BUFFERS) -> int:
    """How many copies of a batch to rotate: 1 where one alone does not fit in the cache, or the cache is not known.

    Otherwise so many that all but one of them fill it, at most `most`: copies cost memory, and what a network's step
    itself reads and writes between two uses of a copy drives a small one out as well.
    """
    if cache_bytes is None or batch_bytes <= 0 or batch_bytes > cache_bytes:
        return 1
    return max(1, min(most, -(-cache_bytes // batch_bytes) + 1))


def _cache(index: Path) -> tuple[int, str, int] | None:
    """Level, the cores that share it, bytes; None for a cache of instructions or one that is not described."""
    try:
        kind, level, shared, size = (
            (index / name).read_text().strip() for name in ("type", "level", "shared_cpu_list", "size")
        )
    except OSError:
        return None
    found = re.fullmatch(r"(\d+)([KMG]?)", size)
    if kind == "Instruction" or not found or not level.isdigit():
        return None
    return int(level), shared, int(found[1]) * _UNITS[found[2]]
