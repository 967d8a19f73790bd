"""The equality gate: a recipe is timed only if it computes the same network as recipe `default`.

The gate compares a recipe's output with golden outputs: the float64 logits of the batch's first image. The recipe's
root-mean-square error may be at most FACTOR times that of recipe `default` in the same framework and precision. A
process whose error is larger reports no time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from frameworks.api import THIRD_PARTY
from xibench.record.schema import DEFAULT_SCENARIO, Case, Status
from xibench.run import plan
from xibench.workers import inputs, session
from xibench.workers.messages import ComputeGoldenOutputs, GoldenError, GoldenOutputs
from xibench.workers.session import WorkerFailed, WorkerOutcome, WorkerSession

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FACTOR: Final = 3.0
FLOOR: Final = {"fp64": 1e-12, "fp32": 2.0**-23, "tf32": 2.0**-10}
"""Always allowed, whatever the error of `default`: that may be 0 in fp64, and tiny for an operator without TF32."""
IMAGES: Final = 1  # of a batch: inference computes each image independently
TIME_LIMIT_S: Final = 600.0  # for the golden outputs of one case


class NoGoldenOutputs(msgspec.Struct, frozen=True):
    """Why a case has no golden outputs and is therefore not timed.

    Attributes:
        status: The status of the case's attempt.
        reason: The reason in one line.
    """

    status: Status
    reason: str


def golden_case(case: Case) -> Case | None:
    """Return the case whose golden outputs apply: recipe `default` on the batch's first image.

    None if the gate does not check the case: it checks our own implementations, by recipes other than `default`.
    """
    if case.framework in THIRD_PARTY or case.recipe == "default":
        return None
    return msgspec.structs.replace(
        case, recipe="default", scenario=DEFAULT_SCENARIO, batch=IMAGES, latency_bound_s=None
    )


def allowed_error(precision: str, error: float) -> float:
    """Return the largest error that a recipe may have if that of `default` is `error`."""
    return max(FACTOR * error, FLOOR.get(precision, 0.0))


def rms_error(left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]) -> float:
    """Return the root mean square of the difference, divided by that of `right`.

    Infinite if the shapes differ or the quotient is not finite.
    """
    import numpy as np

    if left.shape != right.shape:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = np.mean((left.astype(np.float64) - right) ** 2) / np.mean(right.astype(np.float64) ** 2)
    error = float(np.sqrt(squares))
    return error if np.isfinite(error) else float("inf")


class EqualityGate:
    """The golden outputs of a run.

    All of them are computed when the first one is needed: those of one framework on one device in one worker, since a
    worker per network would import the framework each time, and those of several frameworks side by side, since an
    import uses one core. A case whose worker failed beside others is computed again by a worker that has the machine
    to itself, so that the others cannot be the cause.

    Args:
        folder: Holds the golden outputs while the run lasts.
        memory_limit_bytes: Of a worker; see WorkerSession. With a limit, the workers run one after another.
        cases: The cases that the run still has to measure, gated or not.
        worker: A command to start instead of our own worker.
    """

    def __init__(
        self,
        folder: Path,
        memory_limit_bytes: int | None,
        cases: Iterable[Case] = (),
        worker: Sequence[str] | None = None,
    ) -> None:
        self._folder = folder / "golden"  # apart from the batches, of which a sweep keeps one at a time
        self._memory_limit_bytes = memory_limit_bytes
        self._cases = list(dict.fromkeys(golden for case in cases if (golden := golden_case(case))))
        self._worker = worker
        self._files = (str(self._folder / f"{number}.npz") for number in itertools.count())
        self._known: dict[Case, GoldenOutputs | NoGoldenOutputs] = {}

    def golden_outputs(
        self, case: Case, on_progress: Callable[[str], None] = lambda text: None
    ) -> GoldenOutputs | NoGoldenOutputs | None:
        """Return the golden outputs of a case, or why there are none; None if the case is not gated.

        Args:
            case: The case.
            on_progress: Called before workers start to compute them, with a text for users.

        Raises:
            InputError, StoreError: The image of a case cannot be read, or its batch cannot be written.
        """
        needed = golden_case(case)
        if needed is None:
            return None
        if needed not in self._known:
            on_progress("float64 reference")
            groups: dict[tuple[str, str], list[Case]] = {}
            for one in (needed, *self._cases):
                if one not in self._known and one not in groups.setdefault((one.framework, one.device), []):
                    groups[one.framework, one.device].append(one)
            if len(groups) > 1 and self._memory_limit_bytes is None:
                self._compute(groups.values(), alone=False)
            while left := [one for one in groups[needed.framework, needed.device] if one not in self._known]:
                self._compute([left], alone=True)
        return self._known[needed]

    def _compute(self, groups: Iterable[Sequence[Case]], alone: bool) -> None:
        """Compute golden outputs, with one worker per group at the same time, each until it fails.

        Args:
            groups: Cases of the same framework and device, at least one in each.
            alone: Whether the only worker runs. Then a failure of its first request is final. A failure of a later
                request never is: a fresh worker tries that case again, without the memory and the state that earlier
                cases left behind. Beside other workers only `unsupported` is final.
        """
        self._folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            # Send all requests. A worker begins with the first one while the next worker starts.
            sent: list[tuple[WorkerSession, list[ComputeGoldenOutputs]]] = []
            for cases in groups:
                requests = [
                    ComputeGoldenOutputs(
                        case=case, execution=msgspec.to_builtins(plan.execution(case)),
                        batch_file=str(inputs.batch_file(case, self._folder)), file=next(self._files),
                    )
                    for case in cases
                ]  # fmt: skip
                command = self._worker or session.worker_command(cases[0].framework)
                try:
                    worker = WorkerSession(command, session.worker_environment(), self._memory_limit_bytes)
                except WorkerFailed as failed:
                    self._known[cases[0]] = _refusal(failed.outcome)
                    continue
                sent.append((stack.enter_context(worker), requests))
                for request in requests:
                    worker.send(request)

            # Receive the answers, in the order of the requests.
            for worker, requests in sent:
                for number, request in enumerate(requests):
                    try:
                        error = worker.receive(GoldenError, TIME_LIMIT_S).error
                    except WorkerFailed as failed:
                        if number == 0 and (alone or failed.outcome.status == "unsupported"):
                            self._known[request.case] = _refusal(failed.outcome)
                        break
                    allowed = allowed_error(request.case.precision, error)
                    self._known[request.case] = GoldenOutputs(file=request.file, allowed=allowed)
                else:
                    worker.finish()


def _refusal(outcome: WorkerOutcome[Any]) -> NoGoldenOutputs:
    reason = outcome.reason or outcome.status
    if outcome.status == "unsupported":
        return NoGoldenOutputs("unsupported", reason)
    return NoGoldenOutputs(outcome.status, f"its float64 reference could not be computed: {reason}")
