"""Scenario single-stream: one image at a time, onto the device, through the network, its logits back on the host."""

from __future__ import annotations

from typing import Any, Final

from xibench.measure.loop import measure
from xibench.record.schema import Queries, SamplingConfig
from xibench.scenarios.prepared import PreparedCase, Timed
from xibench.scenarios.sampling import InputRotation, sampling_rules
from xibench.scenarios.scenario import Scenario

IN_QUERY: Final = "a query is more than what the device does"


def run(prepared: PreparedCase) -> Timed:
    """Time queries of one image each. Inputs are rotated on the host, where a query starts."""
    import numpy as np

    program, batch = prepared.program, prepared.batch
    rotation = InputRotation(
        prepared, batch, lambda: batch._replace(images=np.array(batch.images)), batch.images.nbytes, 0
    )
    samples = measure(
        lambda number: program.query(rotation.input(number)), lambda _: None,
        *sampling_rules(prepared, half_width=None), prepared.clock, rotation.on_phase,
    )  # fmt: skip
    queries = Queries(
        warmup_s=samples.warmup_s,
        warmup_stopped_by=samples.warmup_stopped_by,
        steps_s=samples.steps_s,
        stopped_by=samples.stopped_by,
        images=len(samples.steps_s),
        input_buffers=rotation.count,
    )
    output = _output_on_device(prepared)
    return Timed(
        samples.first_step_s, queries, rotation.peaks(), samples.output, output, {"device_steps_s": IN_QUERY}
    )


def _output_on_device(prepared: PreparedCase) -> Any:
    """Return an output that the device has finished: what the loop's own overhead is measured with."""
    output = prepared.program.step(prepared.placed)
    prepared.program.synchronise(output)
    return output


SINGLE_STREAM: Final = Scenario(
    name="single-stream",
    label="Single-stream",
    description="one image at a time, from host memory and back: latency p50, p90 and p99",
    run=run,
    metrics=(
        "p50_s", "p90_s", "p99_s", "steps", "processes", "attained", "until_first_result", "peak_bytes",
        "joules_per_image", "joules_per_image_above_idle",
    ),
    headline=("p50_s",),
    sampling=SamplingConfig(max_steps=400, budget_s=120.0, half_width=None),  # p99 takes 368 queries
    sample="query",
    single_image=True,
)  # fmt: skip
