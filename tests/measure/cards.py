"""Fake GPUs: programs run in an interpreter of their own, whose nvidia-ml-py loads the stand-in library.

A program describes its GPUs with `cards({...}, ...)`, again whenever the state of one changes, and prints one line of
JSON. Fields are those of nvml_stand_in.c; a GPU without a field does not support it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PRELUDE = """
import json, os
from pathlib import Path
from tests.measure.fake_clock import FakeClock
from xibench.measure.loop import MonotonicClock
from xibench.measure.nvml import Monitor, NoNvml

def cards(*described):
    lines = [f"cards {len(described)}"]
    lines += [f"{n}.{field} {value}" for n, card in enumerate(described) for field, value in card.items()]
    Path(os.environ["XIBENCH_NVML_STATE"]).write_text("\\n".join(lines) + "\\n")

whole = {"memory_bytes": 2**34, "sm_mhz": 1980, "memory_mhz": 2619, "reasons": 1, "celsius": 41, "instant_mw": 120000,
         "average_mw": 90000, "limit_mw": 700000, "energy_mj": 5000000, "busy_percent": 75, "processes": 0}

def without(card, *fields):
    return {name: value for name, value in card.items() if name not in fields}
"""


def compiled(folder: Path) -> Path:
    """Compile the stand-in library and return its folder; skip the test if there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the stand-in NVML")
    source, library = Path(__file__).with_name("nvml_stand_in.c"), folder / "libnvidia-ml.so.1"
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
    return folder


def outcome(library: Path, state: Path, program: str) -> Any:
    """Run a program that sees the stand-in's GPUs and return the JSON that it printed."""
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(library), "XIBENCH_NVML_STATE": str(state), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + program], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
