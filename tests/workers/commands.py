"""The commands that start workers, with a faulty worker in place of the real one.

`python -m tests.workers.commands NAME FOLDER FAULT` runs one of them in a process of its own.

Each function runs a command and returns how its worker ended: a status and a reason. `install` sets the time limit of
commands that have no parameter for it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from tests.builders import header, small_case
from tests.run.conftest import Listener, Quiet
from xibench.ab.pair import BurstConfig, measure_pair
from xibench.ab.sides import Side
from xibench.analysis.verify_workers import Workers
from xibench.errors import XibenchError
from xibench.record.schema import SamplingConfig
from xibench.record.store import RunFile
from xibench.run import execute, gate
from xibench.run.ceilings import calibrate
from xibench.workers.messages import ForwardPass
from xibench.workers.session import WorkerFailed

FAULTY_WORKER: Final = Path(__file__).with_name("faulty_worker.py")
CASE: Final = msgspec.structs.replace(small_case(), recipe="tuned")
MEMORY_LIMIT_BYTES: Final = 250 * 2**20
Ended = tuple[str, str]


def install(fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch, time_limit_s: float = 600.0) -> Path:
    """Replace every worker by the faulty one and return the file to which they write their process ids."""
    pid_file = folder / "pids"
    command = [sys.executable, "-P", str(FAULTY_WORKER), fault, str(pid_file)]
    monkeypatch.setattr("xibench.workers.session.worker_command", lambda framework=None: command)
    for module in ("xibench.analysis.verify_workers", "xibench.run.ceilings", "xibench.run.gate"):
        monkeypatch.setattr(f"{module}.TIME_LIMIT_S", time_limit_s)
    if fault == "memory limit":
        monkeypatch.setattr("xibench.workers.session.worker_limit_bytes", lambda requested: MEMORY_LIMIT_BYTES)
    return pid_file


def run(folder: Path, time_limit_s: float) -> Ended:
    """Run `xibench run` with a case that the equality gate does not check."""
    plan = [msgspec.structs.replace(CASE, recipe="default")]
    with RunFile.create(folder / "run.jsonl", header(plan, SamplingConfig(time_limit_s=time_limit_s))) as run_file:
        (record,) = execute.run(plan, run_file, Listener(), calibrate=False, conditions=Quiet())
    return record.status, record.reason or ""


def ab(folder: Path, time_limit_s: float) -> Ended:
    """Measure one pair of `xibench ab`."""
    np.save(folder / "batch.npy", np.zeros((1, 75, 75, 3), np.float32))
    bursts = BurstConfig(time_limit_s=time_limit_s)
    sides = (Side("tree"), Side("tree"))
    pair = measure_pair(CASE, sides, 0, folder / "batch.npy", bursts, random.Random(0), folder)
    return pair.status, pair.reason or ""


def verify(folder: Path, _: float) -> Ended:
    """Run one forward pass of `xibench verify`."""
    try:
        with Workers(("pytorch",), folder) as workers:
            workers.ask(("pytorch",), ForwardPass(model="xception", resolution=71, precision="fp32"))
    except XibenchError as error:
        failed = error.__cause__
        return failed.outcome.status if isinstance(failed, WorkerFailed) else "", str(error)
    return "ok", ""


def ceilings(folder: Path, _: float) -> Ended:
    """Measure the ceilings of one framework. Their status is not recorded: `null` stands for a missing figure."""
    found = calibrate([CASE], "environment", Quiet(), lambda text: None)
    (matmul,), (copy,) = found.matmuls, found.copies
    assert matmul.reason == copy.reason
    return "null" if matmul.flops_per_s is copy.bytes_per_s is None else "ok", matmul.reason or ""


def golden_outputs(folder: Path, _: float) -> Ended:
    """Compute the golden outputs of one case, for which an image is written first."""
    found = gate.EqualityGate(folder, None).golden_outputs(CASE)
    assert isinstance(found, gate.NoGoldenOutputs)
    return found.status, found.reason


COMMANDS: Final[Mapping[str, Callable[[Path, float], Ended]]] = {
    "run": run, "ab": ab, "verify": verify, "ceilings": ceilings, "golden outputs": golden_outputs,
}  # fmt: skip


if __name__ == "__main__":
    name, where, what = sys.argv[1:]
    install(what, Path(where), pytest.MonkeyPatch())
    print(*COMMANDS[name](Path(where), 600.0))
