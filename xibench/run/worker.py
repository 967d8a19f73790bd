"""A worker: one case in a fresh process. The only place where the instrument meets a framework.

`python -m xibench.run.worker PIPE`: the request comes as a line on standard input, answers go to the inherited pipe.
When standard input ends, the parent is gone, and the worker ends too: nothing of a killed run stays busy on the cores.
"""

from __future__ import annotations

import faulthandler
import math
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import numpy as np

from frameworks.architectures import network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.runtime import DeviceMemory, Runtime, Subject, load
from frameworks.weights import resolve
from xibench.measure import nvml
from xibench.measure.clock import Clock, MonotonicClock
from xibench.measure.loop import measure
from xibench.measure.memory import HighWaterMark
from xibench.measure.stopping import CountOrBudget, Limits
from xibench.record.schema import Case, Memory, Process, Substitution
from xibench.run.failures import one_line, status_of
from xibench.run.messages import Answer, Measured, Phase, Refused, Request
from xibench.run.plan import weights_seed
from xibench.run.probe import versions

ON_CPU = "the case runs on the CPU"
NO_COUNTER = "the framework has no such counter"
IN_FIRST_STEP = "nothing is compiled ahead of the first step, which includes what is compiled"


def main() -> None:
    """Takes the request, answers it, ends. A hang leaves its traceback in the output before the parent's limit."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    faulthandler.dump_traceback_later(0.9 * request.rule.time_limit_s, exit=False)

    def say(answer: Answer) -> None:
        os.write(pipe, msgspec.json.encode(answer) + b"\n")

    say(answer_to(request, say))


def answer_to(
    request: Request,
    say: Callable[[Answer], None],
    load_runtime: Callable[[str], Runtime] = load,
    clock: Clock | None = None,
) -> Measured | Refused:
    """Measures the case. What goes wrong is the answer too, and its traceback goes to standard error."""
    try:
        return Measured(measure_case(request, say, load_runtime, clock or MonotonicClock()))
    except (MissingFramework, Unsupported) as error:
        return Refused("unsupported", " ".join(str(error).split()))
    except Exception as error:  # whatever a framework raises is this case's result, not the end of the run
        traceback.print_exc()
        return Refused(status_of(error), one_line(error))


def measure_case(
    request: Request, say: Callable[[Answer], None], load_runtime: Callable[[str], Runtime], clock: Clock
) -> Process:
    """Import, build, compile, steps, memory: in this order. Raises what the framework raises."""
    case, rule = request.case, request.rule
    absent: dict[str, str] = {}
    started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")

    say(Phase("import"))
    began = clock.now()
    runtime = load_runtime(case.framework)
    device_name = runtime.touch(case.device)
    imported = clock.now()
    mark = HighWaterMark()

    say(Phase("build"))
    build_began = clock.now()
    subject = _build(case, runtime)
    batch = subject.put(np.load(request.batch_file, mmap_mode="r"))
    built = clock.now()

    say(Phase("compile"))
    ahead = subject.compile(batch)
    compile_s = clock.now() - built
    if not ahead:
        absent["compile_s"] = IN_FIRST_STEP
    limits = Limits(rule.min_steps, rule.max_steps, rule.budget_s)
    samples = measure(
        lambda: subject.step(batch), subject.synchronise, CountOrBudget(limits), clock, rule.warmup_steps,
        lambda phase: say(Phase(phase)),
    )  # fmt: skip
    memory = _memory(case, subject, mark, absent)
    output_mean = float(np.mean(subject.fetch(samples.output), dtype=np.float64))
    if not math.isfinite(output_mean):
        raise ArithmeticError(f"the mean of the output is {output_mean}, expected a finite number; check the weights")
    return Process(
        order=request.order,
        started_utc=started_utc,
        versions={"python": platform.python_version()}
        | {name: version for name, version in versions(case.framework).items() if version},
        device_name=device_name,
        import_s=imported - began,
        build_s=built - build_began,
        compile_s=compile_s if ahead else None,
        first_step_s=samples.first_step_s,
        warmup_s=samples.warmup_s,
        steps_s=samples.steps_s,
        stopped_by=samples.stopped_by,
        clock=clock.description,
        memory=memory,
        settings=subject.settings(),
        substitutions=[Substitution(wanted=s.wanted, why=s.why, ran=s.ran) for s in subject.substitutions],
        output_mean=output_mean,
        absent=absent,
    )


def _build(case: Case, runtime: Runtime) -> Subject:
    blueprint = network(case.model, case.variant, resolution=case.resolution)
    seed = weights_seed(case.weights)
    weights = resolve(blueprint, case.weights if seed is None else seed)
    subject = runtime.prepare(blueprint, weights, case.recipe, case.precision, case.device)
    subject.reset_device_memory()
    return subject


def _memory(case: Case, subject: Subject, mark: HighWaterMark, absent: dict[str, str]) -> Memory:
    host = mark.read()
    if host.absent:
        absent["host_peak_bytes"] = host.absent
    device = subject.device_memory() or DeviceMemory(None, None)
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
    )


def _device_process_bytes(case: Case, absent: dict[str, str]) -> int | None:
    if case.device == "cpu":
        absent["device_process_bytes"] = ON_CPU
        return None
    try:
        return nvml.process_bytes(os.getpid())
    except nvml.NoNvml as error:
        absent["device_process_bytes"] = str(error)
        return None


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
