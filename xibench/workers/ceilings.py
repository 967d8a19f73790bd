"""Measure a device's ceilings in one framework: the fastest matmul in each precision and the fastest copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, Final

import msgspec
import psutil

from frameworks.api import HasCeilings, Prepares, load
from frameworks.errors import Unsupported
from frameworks.recipes import Device, Precision
from xibench.measure.loop import Clock, MonotonicClock, measure
from xibench.measure.machine import last_level_cache_bytes
from xibench.measure.phase import Phase, PhaseListener
from xibench.measure.stopping import Limits, TimedSteps, Warmup, WarmupLimits
from xibench.record.schema import Copy, Matmul
from xibench.workers.failures import failure
from xibench.workers.messages import Ceilings, MeasureCeilings

SIZES: Final = {"cpu": (512, 1024, 2048, 4096), "cuda": (2048, 4096, 8192, 16384)}  # rows and columns, ascending
GROWTH: Final = 8  # a matmul of twice as many rows and columns takes eight times as long
MIN_CALLS: Final = 3
MAX_CALLS: Final = 100
MIN_COPY_BYTES: Final = 64 * 2**20
GPU_COPY_BYTES: Final = 2**30
CACHES: Final = 4  # size of the copied array in last-level caches, so that it does not fit in the cache


def measure_ceilings(
    request: MeasureCeilings,
    listener: PhaseListener,
    load_implementation: Callable[[str], Prepares] = load,
    clock: Clock | None = None,
) -> Ceilings:
    """Job: measure all ceilings. A ceiling that cannot be measured is null, with the exception as the reason.

    Raises:
        Unsupported: The implementation has no ceilings, or the device is missing.
        Exception: Whatever importing the framework raises.
    """
    clock = clock or MonotonicClock()
    listener.on_phase(Phase.IMPORT)
    implementation = load_implementation(request.framework)
    if not isinstance(implementation, HasCeilings):
        raise Unsupported(f"{request.framework} has no ceilings of its own")
    device = msgspec.convert(request.device, Device)
    implementation.touch(device)
    matmuls = []
    for precision in msgspec.convert(request.precisions, list[Precision]):
        listener.on_progress(f"matmul {precision}")
        matmul = partial(implementation.matmul, precision=precision, device=device)
        matmuls.append(_matmul(matmul, request, precision, clock))
    listener.on_progress("copy")
    return Ceilings(matmuls=matmuls, copies=[_copy(partial(implementation.copy, device=device), request, clock)])


def _matmul(
    matmul: Callable[[int], Callable[[], Any]], request: MeasureCeilings, precision: Precision, clock: Clock
) -> Matmul:
    """Measure ascending sizes as long as the next one is expected to fit in the budget, and return the fastest."""
    best: tuple[float, int, list[float]] | None = None
    began = clock.now()
    try:
        for n in SIZES[request.device]:
            calls = _calls_s(partial(matmul, n), request.budget_s / 4, clock)
            seconds = median(calls)
            best = max(best or (0.0, 0, []), (2 * n**3 / min(calls), n, calls))
            if clock.now() - began + GROWTH * seconds * (MIN_CALLS + 1) > request.budget_s:
                break
    except Exception as error:  # the device may be unable to take this size; smaller ones still count
        if best is None:
            return Matmul(
                framework=request.framework, precision=precision, n=None, flops_per_s=None,
                reason=failure(error).reason,
            )  # fmt: skip
    assert best is not None
    rate, n, calls = best
    return Matmul(framework=request.framework, precision=precision, n=n, flops_per_s=rate, calls_s=calls)


def _copy(copy: Callable[[int], Callable[[], Any]], request: MeasureCeilings, clock: Clock) -> Copy:
    """Measure the bandwidth of a copy, counting the bytes read and the bytes written."""
    if request.device == "cuda":
        size = GPU_COPY_BYTES
    else:  # larger than the last-level caches, at most 1/8 of the available memory
        size = max(MIN_COPY_BYTES, CACHES * (last_level_cache_bytes() or 0))
        size = min(size, psutil.virtual_memory().available // 8)
    try:
        calls = _calls_s(partial(copy, size), request.budget_s / 2, clock)
    except Exception as error:  # whatever a framework raises is the reason
        return Copy(framework=request.framework, size_bytes=None, bytes_per_s=None, reason=failure(error).reason)
    rate = 2 * size / min(calls)
    return Copy(framework=request.framework, size_bytes=size, bytes_per_s=rate, calls_s=calls)


def _calls_s(prepare: Callable[[], Callable[[], Any]], budget_s: float, clock: Clock) -> list[float]:
    """Time calls within the budget, at least three; the first two are discarded because the first may compile."""
    call = prepare()
    warmup, rule = Warmup(WarmupLimits(1, 1, budget_s)), TimedSteps(Limits(MIN_CALLS, MAX_CALLS, budget_s))
    return measure(lambda _: call(), lambda _: None, warmup, rule, clock, on_phase=lambda _: None).steps_s
