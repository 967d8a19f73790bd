"""Scenario offline: whole batches that lie on the device, one after another."""

from __future__ import annotations

from typing import Final

from frameworks.cost import ITEM_BYTES
from xibench.measure.loop import measure
from xibench.record.schema import Steps
from xibench.scenarios.prepared import PreparedCase, Timed
from xibench.scenarios.sampling import InputRotation, sampling_rules
from xibench.scenarios.scenario import Scenario


def run(prepared: PreparedCase) -> Timed:
    """Time steps of whole batches, each synchronised. Inputs are rotated on the device."""
    program = prepared.program
    copied = prepared.batch.images.size * ITEM_BYTES[prepared.case.precision]
    on_host, on_device = (copied, 0) if prepared.case.device == "cpu" else (0, copied)
    rotation = InputRotation(prepared, prepared.placed, lambda: program.put(prepared.batch), on_host, on_device)
    samples = measure(
        lambda number: program.step(rotation.input(number)), program.synchronise,
        *sampling_rules(prepared, prepared.sampling.half_width), prepared.clock, rotation.on_phase,
        program.device_step_s,
    )  # fmt: skip
    steps = Steps(
        warmup_s=samples.warmup_s,
        warmup_stopped_by=samples.warmup_stopped_by,
        steps_s=samples.steps_s,
        device_steps_s=samples.device_steps_s,
        stopped_by=samples.stopped_by,
        images=prepared.case.batch * len(samples.steps_s),
        input_buffers=rotation.count,
    )
    return Timed(samples.first_step_s, steps, rotation.peaks(), program.result(samples.output), samples.output)


OFFLINE: Final = Scenario(
    name="offline",
    label="Offline",
    description="whole batches, one after another: throughput; with --sweep over growing batches",
    run=run,
    metrics=(
        "images_per_s", "step_s", "steps", "processes", "attained", "until_first_result", "peak_bytes",
        "joules_per_image", "joules_per_image_above_idle",
    ),
    headline=("images_per_s",),
    sweepable=True,
)  # fmt: skip
