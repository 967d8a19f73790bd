"""The imports and CPU time of code in a fresh interpreter, which determine start times on any machine.

Start times in seconds are a claim (benches/claims/overhead.py) and not a test.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = "import typer, rich, msgspec"
"""The imports that every command requires."""
HEAVY = frozenset({
    "torch", "tensorflow", "jax", "jaxlib", "flax", "keras", "torchvision", "timm", "numpy", "scipy", "pandas",
    "sklearn", "pyarrow", "plotly", "jinja2", "rich", "PIL", "cpuinfo", "safetensors", "pynvml",
})  # fmt: skip
"""Packages that only the commands that use them may import."""
ROUNDS = 5


def imported(code: str) -> set[str]:
    """Return the top-level packages that are loaded after the code has run."""
    program = f"import sys\nsys.stdout = sys.stderr\ntry:\n    exec({code!r})\nexcept SystemExit: pass\n"
    program += "print(*sys.modules, file=sys.__stdout__)"
    names = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True, stderr=subprocess.DEVNULL)
    return {name.partition(".")[0] for name in names.split()}


def cpu_time_over_bare(code: str) -> float:
    """Return the CPU time of code relative to that of BARE: the median over interleaved rounds.

    CPU time, in contrast to wall time, hardly depends on other programs.
    """
    return statistics.median(_cpu_s(code) / _cpu_s(BARE) for _ in range(ROUNDS))


def _cpu_s(code: str) -> float:
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, code
    return usage.ru_utime + usage.ru_stime
