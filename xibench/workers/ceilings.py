"""The job that measures a device's ceilings in one framework: the fastest matmul per precision and the fastest copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, Final

import msgspec
import psutil

from frameworks.api import HasCeilings, Prepares, load
from frameworks.errors import Unsupported
from frameworks.precision import Device, Precision
from xibench.measure.clock import Clock, MonotonicClock
from xibench.measure.loop import measure
from xibench.measure.machine import last_level_cache_bytes
from xibench.measure.phase import Phase, PhaseListener
from xibench.measure.stopping import AnyOf, FixedCount, TimeBudget
from xibench.record.schema import Copy, Matmul
from xibench.workers.messages import Ceilings, MeasureCeilings
from xibench.workers.serving import one_line

SIZES: Final = {"cpu": (512, 1024, 2048, 4096), "cuda": (2048, 4096, 8192, 16384)}  # rows and columns, ascending
GROWTH: Final = 8  # a product of twice the rows takes eight times as long
LEAST_CALLS, MOST_CALLS = 3, 100
LEAST_COPY_BYTES: Final = 64 * 2**20
GPU_COPY_BYTES: Final = 2**30
CACHES: Final = 4  # a copy of so many last-level caches does not live in them


def run_job(
    request: MeasureCeilings,
    listener: PhaseListener,
    load_implementation: Callable[[str], Prepares] = load,
    clock: Clock | None = None,
) -> Ceilings:
    """Measures them; what one of them raises is the reason why it is null. Raises what importing the framework does."""
    clock = clock or MonotonicClock()
    listener.on_phase(Phase.IMPORT)
    implementation = load_implementation(request.framework)
    if not isinstance(implementation, HasCeilings):
        raise Unsupported(f"{request.framework} has no ceilings of its own")
    device = msgspec.convert(request.device, Device)
    implementation.touch(device)
    products = []
    for precision in msgspec.convert(request.precisions, list[Precision]):
        listener.on_progress(f"matmul {precision}")
        matmul = partial(implementation.matmul, precision=precision, device=device)
        products.append(_product(matmul, request, precision, clock))
    listener.on_progress("copy")
    return Ceilings(matmuls=products, copies=[_copy(partial(implementation.copy, device=device), request, clock)])


def _product(
    matmul: Callable[[int], Callable[[], Any]], request: MeasureCeilings, precision: Precision, clock: Clock
) -> Matmul:
    """The fastest size. The next one is tried as long as it promises to fit into the budget."""
    best: tuple[float, int, list[float]] | None = None
    began = clock.now()
    try:
        for n in SIZES[request.device]:
            calls = _calls_s(partial(matmul, n), request.budget_s / 4, clock)
            seconds = median(calls)
            best = max(best or (0.0, 0, []), (2 * n**3 / min(calls), n, calls))
            if clock.now() - began + GROWTH * seconds * (LEAST_CALLS + 1) > request.budget_s:
                break
    except Exception as error:  # of a size that the device cannot take, too: the smaller ones stay
        if best is None:
            return Matmul(
                framework=request.framework, precision=precision, n=None, flops_per_s=None, reason=_reason(error)
            )
    assert best is not None
    rate, n, calls = best
    return Matmul(framework=request.framework, precision=precision, n=n, flops_per_s=rate, calls_s=calls)


def _copy(copy: Callable[[int], Callable[[], Any]], request: MeasureCeilings, clock: Clock) -> Copy:
    size = copy_bytes(request.device)
    try:
        calls = _calls_s(partial(copy, size), request.budget_s / 2, clock)
    except Exception as error:  # whatever a framework raises is the reason
        return Copy(framework=request.framework, size_bytes=None, bytes_per_s=None, reason=_reason(error))
    rate = 2 * size / min(calls)
    return Copy(framework=request.framework, size_bytes=size, bytes_per_s=rate, calls_s=calls)


def copy_bytes(device: str) -> int:
    """The size of the array to copy: several last-level caches, at most an eighth of the memory that is available."""
    if device == "cuda":
        return GPU_COPY_BYTES
    wanted = max(LEAST_COPY_BYTES, CACHES * (last_level_cache_bytes() or 0))
    return min(wanted, psutil.virtual_memory().available // 8)


def _calls_s(prepare: Callable[[], Callable[[], Any]], budget_s: float, clock: Clock) -> list[float]:
    """The calls within the budget, at least three; the first two, of which one may compile, are not among them."""
    call = prepare()
    rule = AnyOf([FixedCount(MOST_CALLS), TimeBudget(budget_s)], LEAST_CALLS)
    return measure(lambda _: call(), lambda _: None, FixedCount(1), rule, clock, on_phase=lambda _: None).steps_s


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) if isinstance(error, Unsupported) else one_line(error)
