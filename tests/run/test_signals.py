"""A signal at any moment of a command's life, from its start to its end, leaves nothing behind but a valid file."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.processes import GENEROUS_S, wait_until
from xibench.record import pair_store, store

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SMALL = ("-m", "xception", "--variant", "narrow", "--resolution", "71", "--batch", "1", "--images", "noise")
RUN = ("run", *SMALL, "--no-ceilings", "--repeats", "0", "--min-steps", "2", "--budget", "0.1", "--out", "run.jsonl")
COMMANDS = {
    "run": (*RUN, "-f", "reference"),
    "ab": ("ab", *SMALL, "-f", "pytorch", "--base", "recipe:default", "--new", "recipe:default+batch_norm=folded",
           "--max-pairs", "1", "--repeats", "0", "--out", "pairs.jsonl"),
    "verify": ("verify", "grouped"),
    "tune": ("tune", "jax/xception/narrow", "--resolution", "71", "--batch", "1", "--images", "noise",
             "--choice", "batch_norm", "--budget", "1", "--folder", "search"),
}  # fmt: skip
BETWEEN_SECONDS = 0.02


@dataclass(frozen=True)
class Ended:
    """How a command ended that got a signal.

    fraction: when it got the signal, as a share of the command's length. gone_s: how long its workers outlived it.
    """

    fraction: float
    code: int
    stderr: str
    left: list[str]
    gone_s: float


RESET = ("env", "--default-signal=INT,TERM,HUP")
"""A process under `nohup` ignores SIGHUP, and its children inherit that."""


def start(command: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command with a temporary folder of its own, and with the usual handling of signals."""
    (folder / "scratch").mkdir(parents=True)

    return subprocess.Popen(
        [*RESET, sys.executable, "-m", "xibench", *command], cwd=folder, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "scratch")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose temporary folder is that of the command or in it: it and its workers."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            own = process.environ().get("TMPDIR", "").startswith(str(folder / "scratch"))
            if own and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def length_s(command: Sequence[str], folder: Path) -> float:
    """Return how long the command takes here and now."""
    began = time.monotonic()
    with start(command, folder) as running:
        _, stderr = running.communicate(timeout=GENEROUS_S)
    assert running.returncode == 0, stderr
    return time.monotonic() - began


def signalled(command: Sequence[str], number: signal.Signals, fraction: float, of_s: float, folder: Path) -> Ended:
    """Send a signal to a command after a share of its length, and return how it ended."""
    with start(command, folder) as running:
        try:
            time.sleep(fraction * of_s)
            running.send_signal(number)
            _, stderr = running.communicate(timeout=GENEROUS_S)
        finally:
            running.kill()
    ended = time.monotonic()
    wait_until(lambda: not processes_of(folder), f"a worker outlived {command[0]}, which got {number.name}")
    return Ended(
        fraction, running.returncode, stderr, sorted(path.name for path in (folder / "scratch").iterdir()),
        time.monotonic() - ended,
    )  # fmt: skip


def moments(count: int, seed: int) -> list[float]:
    """Return shares of a command's length, one from each of as many equal parts, the last of which is its end."""
    rng = random.Random(seed)
    return [1.1 * (part + rng.random()) / count for part in range(count)]


def check(command: str, number: signal.Signals, ended: Ended, folder: Path) -> None:
    """Check what a user finds after the command has ended."""
    where = f"{command} got {number.name} at {ended.fraction:.3f} of its length"
    assert not [name for name in ended.left if name.startswith("xibench")], f"{where}: {ended.left}"
    if ended.code == -number and "xibench" not in ended.stderr:  # Python itself was starting
        assert not any(path.suffix == ".jsonl" for path in folder.rglob("*")), where
        return
    assert "Traceback" not in ended.stderr, f"{where}: {ended.stderr}"
    # For a shell, SIGINT is 130. Python ends by SIGINT, with any signal, if that arrived in text that `exec` runs.
    code = 130 if ended.code == -signal.SIGINT else ended.code
    assert code in (130, 0), f"{where}: exit code {ended.code}, {ended.stderr}"
    last = ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else ""
    run_file, pairs_file, search = folder / "run.jsonl", folder / "pairs.jsonl", folder / "search"
    if code == 130:
        assert last.startswith("xibench: interrupted"), f"{where}: {ended.stderr}"
        if run_file.exists():
            cure = r"(go on with `xibench run --resume|the run is complete: `xibench show) run\.jsonl`"
            assert re.search(cure, last), f"{where}: {ended.stderr}"
        if pairs_file.exists():
            assert last.endswith("the pairs measured so far are in pairs.jsonl"), f"{where}: {ended.stderr}"
        if search.exists() and any(search.iterdir()):
            assert "--resume search" in last, f"{where}: {ended.stderr}"
    for path in (run_file, *search.rglob("*.jsonl")):
        if path.exists():
            assert store.read(path).header.plan, where
    if pairs_file.exists():
        assert pair_store.read(pairs_file), where


def signal_at_all_moments(command: str, numbers: Sequence[signal.Signals], count: int, folder: Path) -> list[Ended]:
    """Send each signal to a command at `count` moments that are spread over its life, and check how it ends."""
    arguments, found = COMMANDS[command], list[Ended]()
    of_s = length_s(arguments, folder / "whole")
    for number in numbers:
        for index, fraction in enumerate(moments(count, seed=int(number))):
            own = folder / f"{number.name}-{index}"
            found.append(signalled(arguments, number, fraction, of_s, own))
            check(command, number, found[-1], own)
    return found


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_a_random_moment_leaves_nothing_behind_but_a_valid_file(
    number: signal.Signals, tmp_path: Path
) -> None:
    signal_at_all_moments("run", [number], 2, tmp_path)


@pytest.mark.longest
@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_signals_at_many_moments_leave_nothing_behind_but_a_valid_file(command: str, tmp_path: Path) -> None:
    signal_at_all_moments(command, SIGNALS, 5 if command == "run" else 1, tmp_path)
