"""The equality gate: a recipe may be timed if it computes what the network computes.

Its root-mean-square error against float64 is at most FACTOR times that of recipe `default` in the same framework and
precision. The golden outputs, which are the float64 logits, are computed by a worker of their own before the first
process that needs them; a process whose logits are too far from them reports no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from frameworks.api import THIRD_PARTY
from xibench.record.schema import DEFAULT_SCENARIO, Case, Status
from xibench.run import plan
from xibench.workers import inputs, interpreters
from xibench.workers.messages import ComputeGoldenOutputs, GoldenError, GoldenOutputs
from xibench.workers.programs import sent
from xibench.workers.session import run_worker

FACTOR: Final = 3.0
FLOOR: Final = {"fp64": 1e-12, "fp32": 2.0**-23, "tf32": 2.0**-10}
"""What `default` has may be 0 in fp64, and next to nothing for an operator or where it has a kernel without TF32."""
IMAGES: Final = 1  # of a batch: inference computes each image by itself
TIME_LIMIT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class NoGoldenOutputs:
    """Why a case cannot be compared with float64, and is therefore not timed."""

    status: Status
    reason: str


def is_gated(case: Case) -> bool:
    """Whether the case's recipe is ours and may compute in another way than `default`."""
    return case.framework not in THIRD_PARTY and case.recipe != "default"


def golden_case(case: Case) -> Case:
    """What the case's golden outputs are computed for: recipe `default` on the batch's first image."""
    return msgspec.structs.replace(
        case, recipe="default", scenario=DEFAULT_SCENARIO, batch=IMAGES, latency_bound_s=None
    )


def allowed_error(precision: str, error: float) -> float:
    """What a recipe may have where `default` has `error`."""
    return max(FACTOR * error, FLOOR.get(precision, 0.0))


class EqualityGate:
    """The golden outputs of a run, each computed when it is first needed."""

    def __init__(self, folder: Path, memory_limit_bytes: int | None, worker: Sequence[str] | None = None) -> None:
        """
        Args:
            folder: where the golden outputs are while the run lasts.
            memory_limit_bytes: of a worker, as WorkerSession takes it.
            worker: a command to start instead of our own worker.
        """
        self._folder = folder / "golden"  # apart from the batches, of which a sweep keeps one at a time
        self._memory_limit_bytes = memory_limit_bytes
        self._worker = worker
        self._known: dict[Case, GoldenOutputs | NoGoldenOutputs] = {}

    def needs_computing(self, case: Case) -> bool:
        """Whether `golden_outputs` would start a worker for the case."""
        return is_gated(case) and golden_case(case) not in self._known

    def golden_outputs(self, case: Case) -> GoldenOutputs | NoGoldenOutputs | None:
        """What the case's logits are compared with; None if it is not gated.

        Raises:
            InputError, StoreError: the case's image cannot be read, or its batch cannot be written.
        """
        if not is_gated(case):
            return None
        wanted = golden_case(case)
        if wanted not in self._known:
            self._known[wanted] = self._computed(wanted)
        return self._known[wanted]

    def _computed(self, case: Case) -> GoldenOutputs | NoGoldenOutputs:
        self._folder.mkdir(exist_ok=True)
        file = str(self._folder / f"{len(self._known)}.npz")
        batch_file = str(inputs.batch_file(case, self._folder))
        execution = sent(plan.execution(case))
        request = ComputeGoldenOutputs(case=case, execution=execution, batch_file=batch_file, file=file)
        outcome = run_worker(
            self._worker or interpreters.worker_command(case.framework), interpreters.environment(),
            request, GoldenError, TIME_LIMIT_S,
            self._memory_limit_bytes,
        )  # fmt: skip
        if outcome.result is not None:
            return GoldenOutputs(file=file, allowed=allowed_error(case.precision, outcome.result.error))
        reason = outcome.reason or outcome.status
        if outcome.status == "unsupported":
            return NoGoldenOutputs("unsupported", reason)
        return NoGoldenOutputs(outcome.status, f"its float64 reference could not be computed: {reason}")
