"""The real command in a process of its own, as a user would type it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def xibench(
    *arguments: str | Path, cwd: Path, timeout_s: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m xibench ...` in a folder and returns its exit code, stdout and stderr."""
    return subprocess.run(
        [sys.executable, "-m", "xibench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **variables},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def said(*arguments: str | Path, cwd: Path, code: int) -> str:
    """What a command that must fail says: asserts the exit code, one line on stderr, and nothing on stdout."""
    done = xibench(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("xibench: ")
    return line
