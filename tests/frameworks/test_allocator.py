"""The allocator in separate processes, because its settings hold for a whole process."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, resource, sys
import numpy as np
from frameworks import process

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    assert process.keep_memory()
faults()
print(json.dumps({"kept": process.memory_kept(), "faults": min(faults() for _ in range(3))}))
"""

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")


def run(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_allocating_a_freed_array_again_maps_no_pages_if_memory_is_kept() -> None:
    returned, kept = run("returned"), run("kept")
    assert (returned["kept"], kept["kept"]) == (False, True)
    assert returned["faults"] > 10  # 32 MiB; fewer where the kernel gives huge pages
    assert kept["faults"] < 10
