"""Scenario server: Poisson arrivals of single-image queries; the highest sustained rate with p99 latency under a limit.

Queries are first timed one at a time, as in scenario single-stream: the search for the rate starts from their median.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from msgspec import structs

from xibench.measure.server import highest_rate, poisson_arrivals, serve
from xibench.record.schema import Queries, RateTrial, SamplingConfig, Server
from xibench.scenarios import single_stream
from xibench.scenarios.prepared import PreparedCase, Timed
from xibench.scenarios.scenario import Scenario

BOUND_QUERIES: Final = 5.0  # the bound on latency, in medians of a query alone, unless the case has one
LOWEST_LOAD: Final = 0.2  # share of the rate at which queries alone follow one another
RATE_TRIALS: Final = 6
QUERIES: Final = 368  # in each trial: the fewest that a 99th percentile takes, `statistics.samples_needed(0.99)`


class _OutOfTime(Exception):
    """The next trial would pass the worker's time limit."""


def run(prepared: PreparedCase) -> Timed:
    """Time queries alone, then bisect the rate of arrivals."""
    alone = single_stream.run(prepared)
    queries = alone.measured
    assert isinstance(queries, Queries)
    alone_s = median(queries.steps_s)
    bound_s = prepared.case.latency_bound_s or BOUND_QUERIES * alone_s
    trials: list[RateTrial] = []

    def keeps_bound(rate_hz: float) -> bool:
        if prepared.clock.now() + QUERIES / rate_hz >= prepared.deadlines.limit_s:
            raise _OutOfTime
        trials.append(_trial(prepared, rate_hz, bound_s, len(trials)))
        return trials[-1].within

    # The fastest rate that is tried is that at which queries alone follow one another.
    try:
        highest_hz = highest_rate(keeps_bound, LOWEST_LOAD / alone_s, 1 / alone_s, RATE_TRIALS)
    except _OutOfTime:
        highest_hz = max((trial.rate_hz for trial in trials if trial.within), default=None)
        queries = structs.replace(queries, stopped_by=f"time_limit_s {prepared.sampling.time_limit_s}")
    found = Server(**structs.asdict(queries), bound_s=bound_s, highest_rate_hz=highest_hz, trials=trials)
    return structs.replace(alone, measured=found)


def _trial(prepared: PreparedCase, rate_hz: float, bound_s: float, number: int) -> RateTrial:
    """Serve queries that arrive at one rate; each process and each trial draws arrivals of its own."""
    import numpy as np

    prepared.on_progress(f"{rate_hz:.3g} queries a second")
    rng = np.random.default_rng([prepared.case.seed, prepared.order, number])

    def query(_: int) -> None:
        prepared.program.query(prepared.batch)

    latencies_s = serve(query, poisson_arrivals(rate_hz, QUERIES, rng), prepared.clock)
    p99_s = float(np.quantile(latencies_s, 0.99))
    return RateTrial(rate_hz=rate_hz, latencies_s=latencies_s, p99_s=p99_s, within=p99_s <= bound_s)


SERVER: Final = Scenario(
    name="server",
    label="Server",
    description="Poisson arrivals; the highest sustained rate with p99 latency under a limit",
    run=run,
    metrics=(
        "highest_rate_hz", "processes", "until_first_result", "peak_bytes", "joules_per_image",
        "joules_per_image_above_idle",
    ),
    headline=("highest_rate_hz",),
    sampling=SamplingConfig(max_steps=400, budget_s=20.0, half_width=None, time_limit_s=3600.0),
    sample="query",
    single_image=True,
    options=("latency_bound_s",),
)  # fmt: skip
