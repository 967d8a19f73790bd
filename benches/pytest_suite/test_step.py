"""Time per step with pytest-benchmark: inference of one picture, 299 x 299, fp32, on the best device there is.

All frameworks share this one process, so a framework's resting threads and its memory are there while another is
measured. `-k pytorch` measures one of them alone; `xibench run` and asv take a fresh process for each case.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import pytest

from benches.asv_suite import subjects
from frameworks.api import FRAMEWORKS

ROUNDS: Final = 10


@pytest.mark.parametrize("recipe", subjects.RECIPES)
@pytest.mark.parametrize("model", subjects.MODELS)
@pytest.mark.parametrize("framework", subjects.FRAMEWORKS)
def test_step(benchmark: Any, framework: str, model: str, recipe: str) -> None:
    """One synchronised step; groups hold the recipes of a network in a framework."""
    try:
        device = subjects.device(framework)
        program, batch = subjects.prepare(framework, model, recipe)
    except NotImplementedError as error:
        pytest.skip(str(error))
    program.compile(batch)
    benchmark.group = f"{model} {framework}"
    benchmark.pedantic(subjects.synchronised_step, (program, batch), rounds=ROUNDS, warmup_rounds=subjects.WARMUP_STEPS)
    benchmark.extra_info.update(
        batch=subjects.BATCH,
        resolution=subjects.RESOLUTION,
        precision=subjects.PRECISION,
        device=device.name,
        versions={name: version(name) for name in FRAMEWORKS[framework].distributions},
        settings=program.readings().settings,
        substitutions=[f"{s.wanted}: {s.why}; ran {s.ran}" for s in program.substitutions],
    )
