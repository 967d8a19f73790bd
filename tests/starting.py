"""What a fresh interpreter imports and computes for a piece of code: the causes of a start's time, on any machine.

How many seconds a start takes is a claim (benches/claims/overhead), never a test.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = "import typer, rich, msgspec"
"""The least that a command line with types takes."""
HEAVY = frozenset({
    "torch", "tensorflow", "jax", "jaxlib", "flax", "keras", "torchvision", "timm", "numpy", "scipy", "pandas",
    "sklearn", "pyarrow", "plotly", "jinja2", "rich", "PIL", "cpuinfo", "safetensors", "pynvml",
})  # fmt: skip
"""What only those commands may import that cannot do without it."""
ROUNDS = 5


def imported(code: str) -> set[str]:
    """The packages that are loaded once the code has run."""
    program = f"import sys\nsys.stdout = sys.stderr\ntry:\n    exec({code!r})\nexcept SystemExit: pass\n"
    program += "print(*sys.modules, file=sys.__stdout__)"
    names = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True, stderr=subprocess.DEVNULL)
    return {name.partition(".")[0] for name in names.split()}


def cpu_time_over_bare(code: str) -> float:
    """How many times as much CPU time as BARE the code takes: the median over interleaved rounds.

    CPU time instead of the clock's: other programs take none of it.
    """
    return statistics.median(_cpu_s(code) / _cpu_s(BARE) for _ in range(ROUNDS))


def _cpu_s(code: str) -> float:
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, code
    return usage.ru_utime + usage.ru_stime
