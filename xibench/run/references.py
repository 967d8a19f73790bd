"""A worker for the equality gate: what a network computes in float64, and how far recipe `default` is from that.

`python -m xibench.run.references PIPE`: started as `xibench.run.worker` is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from frameworks.runtime import Runtime, load, synchronised_step
from xibench.measure.errors import rms_error
from xibench.record.schema import Case
from xibench.run.failures import one_line
from xibench.run.messages import Answer, Phase, References, ReferencesRequest
from xibench.run.serving import serve_parent
from xibench.run.subjects import prepare


def main() -> None:
    """Takes the request, answers it, ends."""
    serve_parent(ReferencesRequest, references)


def references(
    request: ReferencesRequest, say: Callable[[Answer], None], load_runtime: Callable[[str], Runtime] = load
) -> References:
    """Computes them; what one of them raises is the reason why it is null. Raises what importing the framework does."""
    say(Phase("import"))
    runtime = load_runtime(request.framework)
    runtime.touch(request.device)
    errors: list[float | None] = []
    reasons: list[str | None] = []
    for case, batch_file, file in zip(request.cases, request.batch_files, request.files, strict=True):
        say(Phase(f"reference of {case.model} in {case.precision}"))
        try:
            errors.append(_reference(runtime, case, np.load(batch_file), Path(file)))
            reasons.append(None)
        except Exception as error:  # whatever a framework raises is the reason
            errors.append(None)
            reasons.append(one_line(error))
    return References(errors, reasons)


def _reference(runtime: Runtime, case: Case, images: NDArray[np.float32], file: Path) -> float:
    """Writes the float64 logits; the error of recipe `default` in the case's precision."""
    plain = _logits(runtime, case, images)
    exact = _logits(runtime, msgspec.structs.replace(case, precision="fp64"), images)
    np.save(file, exact)
    return rms_error(plain, exact)


def _logits(runtime: Runtime, case: Case, images: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    subject = prepare(runtime, case)
    batch = subject.put(images)
    subject.compile(batch)
    return subject.fetch(synchronised_step(subject, batch))


if __name__ == "__main__":
    main()
