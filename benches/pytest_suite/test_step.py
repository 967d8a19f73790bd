"""Time per step with pytest-benchmark: inference of one image, 299 x 299, fp32, on the best available device.

All frameworks share one process, so the idle threads and memory of one framework are present while another is measured.
`-k pytorch` measures a single framework; `xibench run` and asv start a fresh process for each case.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import pytest

from benches.asv_suite import programs
from frameworks.api import FRAMEWORKS

ROUNDS: Final = 10


@pytest.mark.parametrize("recipe", programs.RECIPES)
@pytest.mark.parametrize("model", programs.MODELS)
@pytest.mark.parametrize("framework", programs.FRAMEWORKS)
def test_step(benchmark: Any, framework: str, model: str, recipe: str) -> None:
    """Measure one synchronised step; a group contains the recipes of one network in one framework."""
    try:
        device = programs.device(framework)
        program, batch = programs.prepare(framework, model, recipe)
    except NotImplementedError as error:
        pytest.skip(str(error))
    program.compile(batch)
    benchmark.group = f"{model} {framework}"
    benchmark.pedantic(programs.synchronised_step, (program, batch), rounds=ROUNDS, warmup_rounds=programs.WARMUP_STEPS)
    benchmark.extra_info.update(
        batch=programs.BATCH,
        resolution=programs.RESOLUTION,
        precision=programs.PRECISION,
        device=device.name,
        versions={name: version(name) for name in FRAMEWORKS[framework].distributions},
        settings=program.readings().settings,
        substitutions=[f"{s.wanted}: {s.why}; ran {s.ran}" for s in program.substitutions],
    )
