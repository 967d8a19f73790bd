"""Scenario compile: the first step and nothing after it, once per fresh process."""

from __future__ import annotations

from typing import Final

from xibench.measure.loop import timed
from xibench.measure.phase import Phase
from xibench.record.schema import Compile, SamplingConfig
from xibench.scenarios.prepared import Peaks, PreparedCase, Timed
from xibench.scenarios.scenario import Scenario


def run(prepared: PreparedCase) -> Timed:
    """Time the first step, which includes what is compiled in it."""
    prepared.on_phase(Phase.FIRST_STEP)
    program = prepared.program
    first_step_s, output = timed(lambda _: program.step(prepared.placed), 0, program.synchronise, prepared.clock)
    peaks = Peaks(prepared.mark.read(), program.device_memory())
    return Timed(first_step_s, Compile(), peaks, program.result(output), output)


COMPILE: Final = Scenario(
    name="compile",
    label="Compile",
    description="fresh compiles, one per process: compile time and first step",
    run=run,
    metrics=("compile_s", "first_step_s", "processes", "peak_bytes"),
    headline=("compile_s", "first_step_s"),
    sampling=SamplingConfig(processes=5),
    sample=None,
)
