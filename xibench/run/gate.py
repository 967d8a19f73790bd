"""The equality gate: a recipe may be timed if it computes what the network computes.

Its root-mean-square error against float64 is at most FACTOR times that of recipe `default` in the same framework and
precision. References are computed before anything is timed, by a process per framework; each worker of a gated case
holds its own logits against its reference, and refuses to tell a time where they are too far off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from frameworks.contenders import CONTENDERS
from xibench.record.schema import Case
from xibench.run import interpreters
from xibench.run.messages import Reference, ReferencesRequest
from xibench.run.process import Ending, Silent, converse

FACTOR = 3.0
TIME_LIMIT_S = 600.0
IMAGES = 2  # of a batch, at most: inference computes each image by itself
Gates = Mapping[Case, Reference | str]
"""What the logits of a `reference_case` are held against, or why there is nothing."""


def is_gated(case: Case) -> bool:
    """Whether the case's recipe is ours and may compute in another way than `default`."""
    return case.framework not in CONTENDERS and case.recipe != "default"


def reference_case(case: Case) -> Case:
    """What the case's reference is computed for: recipe `default` on the batch's first images."""
    return msgspec.structs.replace(
        case, recipe="default", scenario="offline", batch=min(case.batch, IMAGES), latency_bound_s=None
    )


def gates(
    cases: Iterable[Case],
    batch_file: Callable[[Case], Path],
    folder: Path,
    told: Callable[[str], None],
    worker: Sequence[str] | None = None,
) -> Gates:
    """The references of all gated cases, every framework's at once. Raises what `batch_file` raises.

    worker: a command to start instead of our own worker.
    """
    by_framework: dict[str, list[Case]] = {}
    for case in dict.fromkeys(reference_case(case) for case in cases if is_gated(case)):
        by_framework.setdefault(case.framework, []).append(case)
    if not by_framework:
        return {}
    told(f"float64 references in {', '.join(by_framework)}")
    requests = [
        ReferencesRequest(
            framework=framework, device=found[0].device, cases=found,
            batch_files=[str(batch_file(case)) for case in found],
            files=[str(folder / f"reference-{framework}-{i}.npy") for i in range(len(found))],
        )
        for framework, found in by_framework.items()
    ]  # fmt: skip
    endings: dict[str, Ending] = {}

    def compute(request: ReferencesRequest) -> None:
        endings[request.framework] = _computed(request, worker)

    threads = [threading.Thread(target=compute, args=(request,), daemon=True) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # Ctrl-C ends this; the workers end with the process that they answer
    return dict(pair for request in requests for pair in _read(request, endings[request.framework]))


def _read(request: ReferencesRequest, ending: Ending) -> Iterable[tuple[Case, Reference | str]]:
    for i, case in enumerate(request.cases):
        if ending.references is None:
            yield case, ending.reason or ending.status
        elif (error := ending.references.errors[i]) is None:
            yield case, ending.references.reasons[i] or "no reason was given"
        else:
            yield case, Reference(file=request.files[i], allowed=FACTOR * error)


def _computed(request: ReferencesRequest, worker: Sequence[str] | None) -> Ending:
    command = worker or interpreters.module_command(request.framework, "xibench.run.references")
    return converse(command, interpreters.environment(), request, TIME_LIMIT_S, None, Silent())
