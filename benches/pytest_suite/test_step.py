"""Time per step with pytest-benchmark: inference at 299 x 299 in fp32 on the best available device.

A group is a network and a batch, so that with `--framework all`, or with `--benchmark-compare` of a run of each
framework, the frameworks and recipes are side by side. `xibench run` and asv start a fresh process for each case, which
is what figures of this project come from; this suite is for a quick look while one works on a layer.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import pytest

from benches.pytest_suite import programs
from frameworks.api import FRAMEWORKS, synchronised_step
from frameworks.architectures import network
from frameworks.cost import cost

ROUNDS: Final = 10
WARMUP_ROUNDS: Final = 3


@pytest.mark.parametrize("recipe", programs.RECIPES)
@pytest.mark.parametrize("framework", programs.FRAMEWORKS)
@pytest.mark.parametrize("batch", programs.BATCHES, ids="batch{}".format)
@pytest.mark.parametrize("model", programs.MODELS)
def test_step(benchmark: Any, model: str, batch: int, framework: str, recipe: str) -> None:
    """Measure one synchronised step."""
    try:
        prepared = programs.prepare(framework, model, recipe, batch)
    except NotImplementedError as error:
        pytest.skip(str(error))
    program, host = prepared.program, prepared.host
    program.compile(prepared.batch)
    benchmark.group = f"{model}, batch {batch}"
    benchmark.pedantic(synchronised_step, (program, prepared.batch), rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS)
    costs, peak = cost(network(model), batch=batch), host.read().peak_bytes
    benchmark.extra_info.update(
        batch=batch,
        resolution=programs.RESOLUTION,
        precision=programs.PRECISION,
        device=prepared.device,
        macs=costs.macs,
        parameters=costs.parameters_trainable,
        versions={name: version(name) for name in FRAMEWORKS[framework].distributions},
        settings=program.readings().settings,
        substitutions=[f"{s.wanted}: {s.why}; ran {s.ran}" for s in program.substitutions],
        peak_bytes=None if peak is None else peak - host.baseline_bytes,
    )
