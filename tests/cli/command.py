"""Run xibench commands as a user would type them, in this process (fast) or in a process of their own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from tests.processes import GENEROUS_S
from xibench.cli import app

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess[str]


def xibench(*arguments: str | Path, cwd: Path, **variables: str) -> Done:
    """Run `xibench ...` in this process, in the folder `cwd`, and return its exit code, stdout and stderr."""
    words = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.dict(os.environ, environment(variables)),
        mock.patch.object(sys, "argv", ["xibench", *words]),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = app.call(words)
    return subprocess.CompletedProcess(words, code, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(errors="surrogateescape")


def xibench_process(*arguments: str | Path, cwd: Path, **variables: str) -> Done:
    """Run `python -m xibench ...` in a fresh process, for tests that depend on the state of the interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "xibench", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment(variables)},
        capture_output=True,
        text=True,
        timeout=GENEROUS_S,
        check=False,
    )


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Return variables for the command and its workers: this checkout's packages, a wide terminal, and `variables`."""
    return {"PYTHONPATH": str(ROOT), "COLUMNS": "160", **variables}


def error_of(*arguments: str | Path, cwd: Path, code: int) -> str:
    """Run a command that must fail and return its error: exit code `code`, one line on stderr, nothing on stdout."""
    done = xibench(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("xibench: ")
    return line
