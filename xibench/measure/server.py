"""Scenario server: a queue with Poisson arrivals; the highest arrival rate with p99 latency under a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xibench.measure.clock import Clock

if TYPE_CHECKING:
    import numpy as np


def poisson_arrivals(rate_hz: float, n: int, rng: np.random.Generator) -> list[float]:
    """Moments at which n queries of a Poisson process arrive, in seconds from its start, ascending.

    Gaps between them are exponential with mean 1 / rate. Raises ValueError unless the rate is above 0.
    """
    if rate_hz <= 0:
        raise ValueError(f"queries need an arrival rate above 0 per second, received {rate_hz}")
    moments: list[float] = rng.exponential(1 / rate_hz, n).cumsum().tolist()
    return moments


def serve(query: Callable[[int], None], arrivals_s: Sequence[float], clock: Clock) -> list[float]:
    """Latency of each query in seconds, in the order of arrival: from its arrival until its answer is there.

    query: takes the running number and returns when the answer is on the host. One at a time, first come first
    served: while one is answered the next ones wait, and their waiting is part of their latency.
    """
    began = clock.now()
    latencies = []
    for number, arrival in enumerate(arrivals_s):
        clock.wait_until(began + arrival)
        query(number)
        latencies.append(clock.now() - began - arrival)
    return latencies


def highest_rate(keeps_bound: Callable[[float], bool], low_hz: float, high_hz: float, trials: int) -> float | None:
    """The highest rate, of those tried, that kept the bound; None if not even `low_hz` did.

    Tries the lowest rate, the highest, and halves what lies between them until `trials` rates were tried. The answer
    may be below the true one by the last interval, (high - low) / 2 ** (trials - 2). Near the true rate a trial passes
    or fails by chance, and the search goes on above or below it for that reason alone.
    Raises ValueError unless 0 < low_hz <= high_hz and there is at least one trial.
    """
    if not 0 < low_hz <= high_hz or trials < 1:
        raise ValueError(
            f"a search for a rate needs 0 < low <= high and at least 1 trial, received {low_hz}, {high_hz}, {trials}"
        )
    if not keeps_bound(low_hz):
        return None
    if trials == 1:
        return low_hz
    if keeps_bound(high_hz):
        return high_hz
    for _ in range(trials - 2):
        middle = (low_hz + high_hz) / 2
        low_hz, high_hz = (middle, high_hz) if keeps_bound(middle) else (low_hz, middle)
    return low_hz
