"""Scenario server: a queue with Poisson arrivals; the highest arrival rate with p99 latency under a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xibench.measure.loop import Clock

if TYPE_CHECKING:
    import numpy as np


def poisson_arrivals(rate_hz: float, n: int, rng: np.random.Generator) -> list[float]:
    """Return the arrival times of n queries of a Poisson process, in seconds from its start, ascending.

    The intervals between them are exponentially distributed with mean 1 / rate.

    Raises:
        ValueError: The rate is not above 0.
    """
    if rate_hz <= 0:
        raise ValueError(f"queries need an arrival rate above 0 per second, received {rate_hz}")
    moments: list[float] = rng.exponential(1 / rate_hz, n).cumsum().tolist()
    return moments


def serve(query: Callable[[int], None], arrivals_s: Sequence[float], clock: Clock) -> list[float]:
    """Return the latency of each query in seconds, in the order of arrival.

    Queries are answered one at a time, first come, first served. The latency of a query is the time from its arrival to
    its answer, which includes the time that it waits for earlier queries.

    Args:
        query: Takes the number of the query and returns when the answer is on the host.
        arrivals_s: Arrival times in seconds from now, ascending.
        clock: Times the queries and waits for arrivals.
    """
    began = clock.now()
    latencies = []
    for number, arrival in enumerate(arrivals_s):
        clock.wait_until(began + arrival)
        query(number)
        latencies.append(clock.now() - began - arrival)
    return latencies


def highest_rate(keeps_bound: Callable[[float], bool], low_hz: float, high_hz: float, trials: int) -> float | None:
    """Search for the highest rate that keeps a bound: try the lowest rate, the highest rate, then bisect.

    The result may be below the true rate by the last interval, (high - low) / 2 ** (trials - 2). Near the true rate a
    trial passes or fails by chance, and the search continues above or below it accordingly.

    Args:
        keeps_bound: Tries a rate in Hz and returns whether it keeps the bound.
        low_hz: Lowest rate to try.
        high_hz: Highest rate to try.
        trials: Number of rates to try.

    Returns:
        The highest rate tried that kept the bound; None if not even `low_hz` did.

    Raises:
        ValueError: Unless 0 < low_hz <= high_hz and there is at least one trial.
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
