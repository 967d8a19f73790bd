"""A worker that answers every request at once, in this process, in place of all workers that commands start."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.builders import process, serving
from tests.workers.listener import RecordingListener
from xibench.measure.loop import MonotonicClock
from xibench.record.schema import Compile, Copy, Matmul, Measured, Process, Queries
from xibench.record.text import decode_exactly, encode_exactly
from xibench.workers import messages
from xibench.workers.inputs import write_requested_batch
from xibench.workers.session import WorkerFailed, WorkerOutcome, WorkerSession

LARGEST_BATCH = 8  # larger ones run out of memory, so that a sweep ends


class InstantSession:
    """The methods of WorkerSession, without a process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *_: object, **__: object) -> None:
        self.answers: deque[messages.Answer] = deque()

    def send(self, request: messages.Request) -> None:
        """Answer a request, which crosses no pipe but is encoded as if it did."""
        self.answers.append(answer(decode_exactly(encode_exactly(request), messages.Request)))

    def receive(self, kind: type[Any], time_limit_s: float) -> Any:
        """Return the answer to the oldest request."""
        found = self.answers.popleft()
        if isinstance(found, messages.Failure):
            raise WorkerFailed(WorkerOutcome(found.status, found.reason))
        assert isinstance(found, kind)
        return found

    def finish(self, *_: object) -> None:
        """Do nothing, as `kill` and the end of a with statement."""


def install(patch: pytest.MonkeyPatch) -> None:
    """Replace the methods of WorkerSession, do not wait for the machine, and end searches soon, until it is undone."""
    patch.setattr("xibench.analysis.tuning_folder.BUDGET_S", 0.1)
    patch.setattr(MonotonicClock, "wait_until", lambda self, moment_s: None)
    for method, made in vars(InstantSession).items():
        if callable(made):
            patch.setattr(WorkerSession, method, made)
    for method in ("kill", "__exit__"):
        patch.setattr(WorkerSession, method, InstantSession.finish)


def answer(request: messages.Request) -> messages.Answer:
    """Return what a worker that works would answer, with made-up figures."""
    match request:
        case messages.MeasureCase():
            return _measured(request)
        case messages.MeasureCeilings():
            name = request.framework
            return messages.Ceilings(
                matmuls=[Matmul(framework=name, precision=p, n=1024, flops_per_s=1e12) for p in request.precisions],
                copies=[Copy(framework=name, size_bytes=2**26, bytes_per_s=1e10)],
            )  # fmt: skip
        case messages.ComputeGoldenOutputs():
            np.savez(Path(request.file), logits=np.zeros((1, 10)))
            return messages.GoldenError(error=1e-6)
        case messages.StartPairSide():
            return messages.Imported()
        case messages.Prepare():
            return messages.Ready(
                logits=[0.1], build_s=0.1, compile_s=0.1, first_step_s=0.1, warmup_s=[0.01],
                warmup_stopped_by="no trend",
            )  # fmt: skip
        case messages.Burst():
            return messages.Steps(steps_s=[0.01 + 1e-5 * n for n in range(request.min_steps)])
        case messages.Finish():
            return messages.PairReport(
                versions={"numpy": "2"}, settings={"threads": 2}, output_mean=0.1, peak_bytes=2**20
            )
        case messages.CountFlops():
            return messages.FlopsCounted(flops=1.0)
        case messages.ProbeFramework():
            return messages.Probe(framework=request.framework, versions={}, devices=["cpu"], problem=None)
        case messages.WriteBatch():
            return write_requested_batch(request, RecordingListener())
    return messages.Failure(status="failed", reason="ValueError: this worker runs no forward pass")


def _measured(request: messages.MeasureCase) -> messages.Answer:
    case = request.case
    if case.batch > LARGEST_BATCH:
        return messages.Failure(status="out_of_memory", reason="MemoryError: no room")
    made = process([0.01 + 1e-5 * n for n in range(request.sampling.min_steps)][:500], request.order)
    kinds: dict[str, Process] = {
        "server": serving(made, case.latency_bound_s or 0.1, 12.0, []),
        "single-stream": _as(made, Queries(**msgspec.structs.asdict(made.measured))),
        "compile": _as(made, Compile()),
    }
    return messages.Measured(process=kinds.get(case.scenario, made))


def _as(made: Process, samples: Measured) -> Process:
    return msgspec.structs.replace(made, measured=samples)
