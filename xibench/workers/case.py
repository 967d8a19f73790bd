"""The jobs for one case of a run: measure it in a process of its own, and compute its golden outputs."""

from __future__ import annotations

import faulthandler
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np
import psutil

from frameworks.api import IMPLEMENTATIONS, Prepares, Program, load, synchronised_step
from frameworks.architectures import network
from frameworks.manifest import CompiledMemory, DeviceMemory
from frameworks.recipes import Execution
from frameworks.task import INFER, Batch, Result
from frameworks.weights import digest, resolve
from xibench.measure import nvml
from xibench.measure.loop import Clock, MonotonicClock, overhead_s, read_cost_s
from xibench.measure.memory import HighWaterMark
from xibench.measure.phase import Phase, PhaseListener
from xibench.record.environment import version
from xibench.record.schema import Case, ClockProperties, Energy, Equality, Memory, Process, Sampled, Substitution
from xibench.run.gate import rms_error
from xibench.run.plan import weights_seed
from xibench.scenarios import find
from xibench.scenarios.prepared import PreparedCase, Timed
from xibench.scenarios.sampling import LIMIT_SHARE, Deadlines
from xibench.workers.messages import ComputeGoldenOutputs, GoldenError, MeasureCase, Measured

ON_CPU: Final = "the case runs on the CPU"
NO_COUNTER: Final = "the framework has no such counter"
IN_FIRST_STEP: Final = "nothing is compiled ahead of the first step, which includes what is compiled"
NOT_GATED: Final = "recipe default and third-party implementations are not compared with float64 in a run"
NO_METER: Final = "nothing measured energy over the timed steps"
NO_SAMPLE: Final = "the scenario times nothing after the first step"
WARM: Final = Substitution(
    wanted="compilation in this process", why="a disk cache that is still enabled here provided the program",
    ran="what an earlier process had compiled",
)  # fmt: skip
NO_DIGEST: Final = "the weights are not seeded, or an earlier process of the run has reported their digest"


class Startup(NamedTuple):
    """The part of a measurement before the first step; fields as in the record's `Process`."""

    started_utc: str
    device_name: str
    import_s: float
    build_s: float
    compile_s: float | None


def run_case(request: MeasureCase, listener: PhaseListener) -> Measured:
    """Job: measure a case. If it hangs, a traceback is printed shortly before the parent's time limit."""
    faulthandler.dump_traceback_later(0.9 * request.sampling.time_limit_s, exit=False)
    age_s = time.time() - psutil.Process().create_time()
    age_s = min(max(0.0, age_s), 60.0)  # the wall clock may have been set since the process started
    return Measured(process=measure_case(request, listener, load, MonotonicClock(), age_s))


def measure_case(
    request: MeasureCase,
    listener: PhaseListener,
    load_implementation: Callable[[str], Prepares],
    clock: Clock,
    age_s: float = 0.0,
) -> Process:
    """Import, build, compile, run the scenario and read everything back. Raises what the framework raises.

    Args:
        request: The case and how to measure it.
        listener: Receives phases and progress.
        load_implementation: Imports a framework by name.
        clock: Times every phase.
        age_s: Age of this process in seconds: its time limit and its share of the budget include its start.
    """
    case, execution = request.case, msgspec.convert(request.execution, Execution)
    process_began_s = clock.now() - age_s
    deadlines = Deadlines(
        limit_s=process_began_s + LIMIT_SHARE * request.sampling.time_limit_s,
        budget_s=None if request.share_s is None else process_began_s + request.share_s,
    )
    started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")

    listener.on_phase(Phase.IMPORT)
    began = clock.now()
    implementation = load_implementation(case.framework)
    device_name = implementation.touch(execution.device)
    import_s = clock.now() - began
    mark = HighWaterMark()

    listener.on_phase(Phase.BUILD)
    began = clock.now()
    program = _prepare(implementation, case, execution)
    program.reset_device_memory()
    batch = Batch(np.load(request.batch_file, mmap_mode="r"))
    placed = program.put(batch)
    built = clock.now()

    listener.on_phase(Phase.COMPILE)
    compiled_ahead = program.compile(placed)
    compile_s = clock.now() - built if compiled_ahead else None

    prepared = PreparedCase(
        case, request.sampling, program, batch, placed, mark, clock, listener.on_phase, listener.on_progress,
        request.order, deadlines,
    )  # fmt: skip
    timed = find(case.scenario).run(prepared)
    return _process(request, prepared, Startup(started_utc, device_name, import_s, built - began, compile_s), timed)


def _process(request: MeasureCase, prepared: PreparedCase, startup: Startup, timed: Timed) -> Process:
    """Check the result, read settings and memory back, and return everything that was measured."""
    case, program, clock = prepared.case, prepared.program, prepared.clock
    absent: dict[str, str] = {}
    if startup.compile_s is None:
        absent["compile_s"] = IN_FIRST_STEP
    output_mean, equality = _check_result(request, timed, absent)
    readings = program.readings()
    substitutions = list(program.substitutions) + [WARM] * (readings.settings.get("compilation_cache") == "warm")
    memory = _memory(case, readings.compiled, timed, prepared.mark, absent)

    # The cost of timing itself: reading the clock, and an empty step.
    if clock.resolution_s is None:
        absent["resolution_s"] = "the platform does not state it"
    clock_properties = ClockProperties(
        name=clock.name, resolution_s=clock.resolution_s, read_s=read_cost_s(clock),
        loop_overhead_s=overhead_s(clock, program.synchronise, timed.output),
    )  # fmt: skip

    # The window for energy; the parent measures the energy over it and fills it in.
    steps_s = timed.measured.steps_s if isinstance(timed.measured, Sampled) else []
    unmetered = ("gpu_counter_joules", "gpu_integrated_joules", "cpu_package_joules")
    energy = Energy(
        window_s=sum(steps_s), gpu_counter_joules=None, gpu_integrated_joules=None, gpu_power_samples=0,
        cpu_package_joules=None, absent=dict.fromkeys(unmetered, NO_METER if steps_s else NO_SAMPLE),
    )  # fmt: skip

    # Seeded weights are generated once more for their digest, after everything has been measured.
    weights_digest = None
    if request.digest_weights:
        blueprint = network(case.model, case.variant, resolution=case.resolution)
        weights_digest = digest(resolve(blueprint, weights_seed(case.weights)))
    else:
        absent["weights_digest"] = NO_DIGEST

    distributions = IMPLEMENTATIONS[case.framework].distributions
    return Process(
        order=request.order, **startup._asdict(),
        versions={"python": platform.python_version()} | {n: found for n in distributions if (found := version(n))},
        first_step_s=timed.first_step_s, measured=timed.measured, clock=clock_properties, memory=memory, energy=energy,
        settings=readings.settings, output_mean=output_mean, equality=equality, weights_digest=weights_digest,
        substitutions=[Substitution(wanted=s.wanted, why=s.why, ran=s.ran) for s in substitutions],
        absent=readings.absent | (timed.absent or {}) | absent,
    )  # fmt: skip


def _prepare(implementation: Prepares, case: Case, execution: Execution) -> Program:
    """Build the case's network with its weights, ready to run steps."""
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    seed = weights_seed(case.weights)
    weights = resolve(blueprint, case.weights if seed is None else seed)
    return implementation.prepare(blueprint, weights, execution, INFER)


def _check_result(request: MeasureCase, timed: Timed, absent: dict[str, str]) -> tuple[float, Equality | None]:
    """Compare the result of the last step with the golden outputs, if any, and check that it is finite.

    Returns:
        The mean of the first array of the result, and how far the result is from the golden outputs.

    Raises:
        ArithmeticError: The result differs too much from the golden outputs or is not finite.
    """
    equality = None
    if request.golden is None:
        absent["equality"] = NOT_GATED
    else:
        allowed, errors, images = request.golden.allowed, [], 0
        with np.load(request.golden.file) as exact:
            for name in exact.files:
                images = min(len(exact[name]), len(timed.result[name]))
                errors.append(rms_error(timed.result[name][:images], exact[name][:images]))
                if not errors[-1] <= allowed:
                    raise ArithmeticError(
                        f"recipe {request.case.recipe} does not compute the network: its {name} are {errors[-1]:.2g} "
                        f"from float64 (root mean square), allowed are {allowed:.2g}, 3 times what recipe default has; "
                        "it is not timed"
                    )
        equality = Equality(rms_error=max(errors), allowed_error=allowed, images=images)

    means = [float(np.mean(array, dtype=np.float64)) for array in timed.result.values()]
    for mean in means:
        if not math.isfinite(mean):
            raise ArithmeticError(f"the mean of the output is {mean}, expected a finite number; check the weights")
    return means[0], equality


def _memory(
    case: Case, compiled: CompiledMemory, timed: Timed, mark: HighWaterMark, absent: dict[str, str]
) -> Memory:
    """Collect the memory figures of host, device and compiled program; `absent` gets the reason for each null."""
    host, device = timed.peaks.host, timed.peaks.device or DeviceMemory(None, None)
    if host.absent:
        absent["host_peak_bytes"] = host.absent
    missing = ON_CPU if case.device == "cpu" else NO_COUNTER
    if device.peak_allocated_bytes is None:
        absent["device_peak_allocated_bytes"] = missing
    if device.peak_reserved_bytes is None:
        absent["device_peak_reserved_bytes"] = missing
    process_bytes = None
    if case.device == "cpu":
        absent["device_process_bytes"] = ON_CPU
    else:
        try:
            process_bytes = nvml.process_bytes(os.getpid())
        except nvml.NoNvml as error:
            absent["device_process_bytes"] = str(error)
    return Memory(
        host_baseline_bytes=mark.baseline_bytes,
        host_peak_bytes=host.peak_bytes,
        host_method=mark.method,
        device_peak_allocated_bytes=device.peak_allocated_bytes,
        device_peak_reserved_bytes=device.peak_reserved_bytes,
        device_process_bytes=process_bytes,
        compiled_temporary_bytes=compiled.temporary_bytes,
        compiled_argument_bytes=compiled.argument_bytes,
        compiled_output_bytes=compiled.output_bytes,
        compiled_code_bytes=compiled.code_bytes,
    )


def compute_golden_outputs(
    request: ComputeGoldenOutputs, listener: PhaseListener, load_implementation: Callable[[str], Prepares] = load
) -> GoldenError:
    """Job: write the float64 result of a network and compute the error of recipe `default` relative to it.

    Raises:
        ArithmeticError: The result of recipe `default` is not finite.
        Exception: Whatever the framework raises.
    """
    case, execution = request.case, msgspec.convert(request.execution, Execution)
    listener.on_phase(Phase.IMPORT)
    implementation = load_implementation(case.framework)
    implementation.touch(execution.device)
    batch = Batch(np.load(request.batch_file))
    results: list[Result] = []
    for precision, what in ((execution.precision, f"recipe default in {case.precision}"), ("fp64", "float64")):
        listener.on_progress(what)
        program = _prepare(implementation, case, msgspec.structs.replace(execution, precision=precision))
        placed = program.put(batch)
        program.compile(placed)
        results.append(program.result(synchronised_step(program, placed)))
        del program, placed  # the float64 model must not have to fit beside the default one
    default, exact = results
    error = max(rms_error(default[name], exact[name]) for name in exact)
    if not math.isfinite(error):
        raise ArithmeticError(f"recipe default gives logits in {case.precision} or fp64 that are not finite numbers")
    np.savez(request.file, **exact)  # type: ignore[arg-type]  # the stub's allow_pickle
    return GoldenError(error=error)
