"""The job of a run's worker: one case, in a process of its own."""

from __future__ import annotations

import faulthandler
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np
import psutil

from frameworks.api import Prepares, Program, load
from frameworks.manifest import CompiledMemory, DeviceMemory
from frameworks.task import Batch, rms_error
from frameworks.weights import digest
from xibench.measure import nvml
from xibench.measure.clock import Clock, MonotonicClock, read_cost_s
from xibench.measure.loop import overhead_s
from xibench.measure.memory import HighWaterMark
from xibench.measure.phase import Phase, PhaseListener
from xibench.record import schema
from xibench.record.schema import Case, Energy, Equality, Memory, Process, Sampled, Substitution
from xibench.scenarios import find
from xibench.scenarios.prepared import PreparedCase, Timed
from xibench.scenarios.sampling import Deadlines
from xibench.workers.messages import MeasureCase, Measured
from xibench.workers.programs import prepare, received, seeded_weights, versions

ON_CPU: Final = "the case runs on the CPU"
NO_COUNTER: Final = "the framework has no such counter"
IN_FIRST_STEP: Final = "nothing is compiled ahead of the first step, which includes what is compiled"
NOT_GATED: Final = "recipe default, and other people's implementations, are not held against float64 in a run"
NO_METER: Final = "nothing measured energy over the timed steps"
NO_SAMPLE: Final = "the scenario times nothing after the first step"
TOLD_BY_ANOTHER: Final = "the weights are not seeded, or an earlier process of the run has told their digest"


def run_job(request: MeasureCase, listener: PhaseListener) -> Measured:
    """Measures the case. A hang leaves its traceback in the output before the parent's time limit."""
    faulthandler.dump_traceback_later(0.9 * request.sampling.time_limit_s, exit=False)
    return Measured(process=measure_case(request, listener, load, MonotonicClock(), age_s=_age_s()))


def _age_s() -> float:
    """Seconds since the operating system created this process; no more than a minute, whatever became of its clock."""
    return min(max(0.0, time.time() - psutil.Process().create_time()), 60.0)


def measure_case(
    request: MeasureCase,
    listener: PhaseListener,
    load_implementation: Callable[[str], Prepares],
    clock: Clock,
    age_s: float = 0.0,
) -> Process:
    """Import, build, compile, steps, memory: in this order. Raises what the framework raises.

    age_s: seconds that the process has been running; its time limit and its share of the budget began before.
    """
    case, execution = request.case, received(request.execution)
    absent: dict[str, str] = {}
    deadlines = Deadlines.after(clock.now() - age_s, request.sampling, request.share_s)
    started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")

    listener.on_phase(Phase.IMPORT)
    began = clock.now()
    implementation = load_implementation(case.framework)
    device_name = implementation.touch(execution.device)
    imported = clock.now()
    mark = HighWaterMark()

    listener.on_phase(Phase.BUILD)
    build_began = clock.now()
    program = prepare(implementation, case, execution)
    program.reset_device_memory()
    batch = Batch(np.load(request.batch_file, mmap_mode="r"))
    placed = program.put(batch)
    built = clock.now()

    listener.on_phase(Phase.COMPILE)
    ahead = program.compile(placed)
    compile_s = clock.now() - built
    if not ahead:
        absent["compile_s"] = IN_FIRST_STEP

    timed = find(case.scenario).run(
        PreparedCase(
            case, request.sampling, program, batch, placed, mark, clock, listener.on_phase, listener.on_progress,
            request.order, deadlines,
        )
    )  # fmt: skip
    equality = _equality(request, timed, absent)
    readings = program.readings()
    memory = _memory(case, readings.compiled, timed, mark, absent)
    return Process(
        order=request.order,
        started_utc=started_utc,
        versions={"python": platform.python_version()}
        | {name: version for name, version in versions(case.framework).items() if version},
        device_name=device_name,
        import_s=imported - began,
        build_s=built - build_began,
        compile_s=compile_s if ahead else None,
        first_step_s=timed.first_step_s,
        measured=timed.measured,
        clock=_clock(clock, program, timed, absent),
        memory=memory,
        energy=_unmetered(timed),
        settings=readings.settings,
        substitutions=[Substitution(wanted=s.wanted, why=s.why, ran=s.ran) for s in program.substitutions],
        output_mean=_output_mean(timed),
        equality=equality,
        weights_digest=_weights_digest(request, absent),
        absent=readings.absent | (timed.absent or {}) | absent,
    )


def _output_mean(timed: Timed) -> float:
    """The mean of the first array of the result. Raises ArithmeticError if that of any array is not finite."""
    means = [float(np.mean(array, dtype=np.float64)) for array in timed.result.values()]
    for mean in means:
        if not math.isfinite(mean):
            raise ArithmeticError(f"the mean of the output is {mean}, expected a finite number; check the weights")
    return means[0]


def _equality(request: MeasureCase, timed: Timed, absent: dict[str, str]) -> Equality | None:
    """How far the result is from the golden outputs. Raises ArithmeticError if it is too far."""
    if request.golden is None:
        absent["equality"] = NOT_GATED
        return None
    allowed, errors, images = request.golden.allowed, [], 0
    with np.load(request.golden.file) as exact:
        for name in exact.files:
            images = min(len(exact[name]), len(timed.result[name]))
            errors.append(rms_error(timed.result[name][:images], exact[name][:images]))
            if not errors[-1] <= allowed:
                raise ArithmeticError(
                    f"recipe {request.case.recipe} does not compute the network: its {name} are {errors[-1]:.2g} from "
                    f"float64 (root mean square), allowed are {allowed:.2g}, 3 times what recipe default has; "
                    "it is not timed"
                )
    return Equality(rms_error=max(errors), allowed_error=allowed, images=images)


def _clock(clock: Clock, program: Program, timed: Timed, absent: dict[str, str]) -> schema.ClockProperties:
    if clock.resolution_s is None:
        absent["resolution_s"] = "the platform does not state it"
    return schema.ClockProperties(
        name=clock.name,
        resolution_s=clock.resolution_s,
        read_s=read_cost_s(clock),
        loop_overhead_s=overhead_s(clock, program.synchronise, timed.output),
    )


def _memory(
    case: Case, compiled: CompiledMemory, timed: Timed, mark: HighWaterMark, absent: dict[str, str]
) -> Memory:
    host, device = timed.peaks.host, timed.peaks.device or DeviceMemory(None, None)
    if host.absent:
        absent["host_peak_bytes"] = host.absent
    missing = ON_CPU if case.device == "cpu" else NO_COUNTER
    if device.peak_allocated_bytes is None:
        absent["device_peak_allocated_bytes"] = missing
    if device.peak_reserved_bytes is None:
        absent["device_peak_reserved_bytes"] = missing
    return Memory(
        host_baseline_bytes=mark.baseline_bytes,
        host_peak_bytes=host.peak_bytes,
        host_method=mark.method,
        device_peak_allocated_bytes=device.peak_allocated_bytes,
        device_peak_reserved_bytes=device.peak_reserved_bytes,
        device_process_bytes=_device_process_bytes(case, absent),
        compiled_temporary_bytes=compiled.temporary_bytes,
        compiled_argument_bytes=compiled.argument_bytes,
        compiled_output_bytes=compiled.output_bytes,
        compiled_code_bytes=compiled.code_bytes,
    )


def _unmetered(timed: Timed) -> Energy:
    """What the worker knows of the energy over its timed samples; the parent fills in what it metered."""
    steps_s = timed.measured.steps_s if isinstance(timed.measured, Sampled) else []
    why = NO_METER if steps_s else NO_SAMPLE
    return Energy(
        window_s=sum(steps_s),
        gpu_counter_joules=None,
        gpu_integrated_joules=None,
        gpu_power_samples=0,
        cpu_package_joules=None,
        absent=dict.fromkeys(("gpu_counter_joules", "gpu_integrated_joules", "cpu_package_joules"), why),
    )


def _weights_digest(request: MeasureCase, absent: dict[str, str]) -> str | None:
    """The digest of the case's seeded weights, drawn again once everything has been measured."""
    if not request.digest_weights:
        absent["weights_digest"] = TOLD_BY_ANOTHER
        return None
    return digest(seeded_weights(request.case))


def _device_process_bytes(case: Case, absent: dict[str, str]) -> int | None:
    if case.device == "cpu":
        absent["device_process_bytes"] = ON_CPU
        return None
    try:
        return nvml.process_bytes(os.getpid())
    except nvml.NoNvml as error:
        absent["device_process_bytes"] = str(error)
        return None
