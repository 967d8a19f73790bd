"""The equality gate: a recipe may be timed if it computes what the network computes.

Its root-mean-square error against float64 is at most FACTOR times that of recipe `default` in the same framework and
precision. A reference is computed, by a process of its own, before the first process that is held against it; each of
those refuses to tell a time where its logits are too far off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from frameworks.third_party import CONTENDERS
from xibench.record.schema import DEFAULT_SCENARIO, Case, Status
from xibench.workers import inputs, interpreters
from xibench.workers.messages import Reference, ReferenceRequest
from xibench.workers.session import Silent, converse

FACTOR: Final = 3.0
FLOOR: Final = {"fp64": 1e-12, "fp32": 2.0**-23, "tf32": 2.0**-10}
"""What `default` has may be 0 in fp64, and next to nothing for an operator or where it has a kernel without TF32."""
IMAGES: Final = 1  # of a batch: inference computes each image by itself
TIME_LIMIT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Why there is nothing to hold a case against."""

    status: Status
    reason: str


def is_gated(case: Case) -> bool:
    """Whether the case's recipe is ours and may compute in another way than `default`."""
    return case.framework not in CONTENDERS and case.recipe != "default"


def reference_case(case: Case) -> Case:
    """What the case's reference is computed for: recipe `default` on the batch's first image."""
    return msgspec.structs.replace(
        case, recipe="default", scenario=DEFAULT_SCENARIO, batch=IMAGES, latency_bound_s=None
    )


def allowed_error(precision: str, error: float) -> float:
    """What a recipe may have where `default` has `error`."""
    return max(FACTOR * error, FLOOR.get(precision, 0.0))


class Gates:
    """The references of a run, each computed when it is first needed.

    folder: where they lie while the run lasts. memory_limit_bytes: as `converse` takes it. worker: a command to start
    instead of our own worker.
    """

    def __init__(self, folder: Path, memory_limit_bytes: int | None, worker: Sequence[str] | None = None) -> None:
        self._folder = folder / "references"  # apart from the batches, of which a sweep keeps one at a time
        self._memory_limit_bytes = memory_limit_bytes
        self._worker = worker
        self._known: dict[Case, Reference | Closed] = {}

    def knows(self, case: Case) -> bool:
        """Whether nothing is left to compute for the case."""
        return not is_gated(case) or reference_case(case) in self._known

    def of(self, case: Case) -> Reference | Closed | None:
        """What the case is held against; None if it is not gated. Raises what writing its image raises."""
        if not is_gated(case):
            return None
        wanted = reference_case(case)
        if wanted not in self._known:
            self._known[wanted] = self._computed(wanted)
        return self._known[wanted]

    def _computed(self, case: Case) -> Reference | Closed:
        self._folder.mkdir(exist_ok=True)
        file = str(self._folder / f"{len(self._known)}.npy")
        request = ReferenceRequest(case=case, batch_file=str(inputs.batch_file(case, self._folder)), file=file)
        command = self._worker or interpreters.module_command(case.framework, "xibench.workers.golden")
        ending = converse(
            command, interpreters.environment(), request, TIME_LIMIT_S, self._memory_limit_bytes, Silent()
        )
        if ending.referenced is not None:
            return Reference(file=file, allowed=allowed_error(case.precision, ending.referenced.error))
        reason = ending.reason or ending.status
        if ending.status == "unsupported":
            return Closed("unsupported", reason)
        return Closed(ending.status, f"its float64 reference could not be computed: {reason}")
