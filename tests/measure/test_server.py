from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from tests.measure.fake_clock import FakeClock
from xibench.measure.server import highest_rate, poisson_arrivals, serve


def latencies(arrivals_s: list[float], service_s: float) -> list[float]:
    clock = FakeClock(1000.0)
    return serve(lambda _: clock.advance(service_s), arrivals_s, clock)


def test_queueing_time_is_part_of_the_latency() -> None:
    assert latencies([0.0, 0.5, 0.75, 4.0], 1.0) == pytest.approx([1.0, 1.5, 2.25, 1.0])


def test_queries_are_numbered_in_order_of_arrival() -> None:
    seen: list[int] = []
    serve(seen.append, [0.0, 1.0, 2.0], FakeClock())
    assert seen == [0, 1, 2]


def test_no_query_starts_before_it_arrives() -> None:
    clock = FakeClock()
    began: list[float] = []
    serve(lambda _: began.append(clock.now()), [0.5, 2.0], clock)
    assert began == [0.5, 2.0]


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_the_mean_wait_is_that_of_queueing_theory(load: float) -> None:
    """Pollaczek-Khinchine for Poisson arrivals and a constant service time: load / (2 (1 - load)) service times."""
    arrivals = poisson_arrivals(load, 200_000, np.random.default_rng(5))
    waits = [latency - 1.0 for latency in latencies(arrivals, 1.0)]
    assert fmean(waits) == pytest.approx(load / (2 * (1 - load)), rel=0.05)


def test_arrivals_are_ascending_have_their_rate_and_are_reproducible() -> None:
    first, again = (poisson_arrivals(50.0, 20_000, np.random.default_rng(2)) for _ in range(2))
    assert first == again
    assert first == sorted(first)
    gaps = np.diff(first)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)  # exponential: mean and deviation are equal


def test_an_arrival_rate_of_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="arrival rate above 0 per second, received 0"):
        poisson_arrivals(0, 3, np.random.default_rng(0))


def test_the_highest_rate_is_found_within_the_last_interval() -> None:
    tried: list[float] = []

    def keeps(rate_hz: float) -> bool:
        tried.append(rate_hz)
        return rate_hz <= 70.0

    rate = highest_rate(keeps, 10.0, 100.0, 9)
    assert rate is not None
    assert 70.0 - 90 / 2**7 < rate <= 70.0
    assert len(tried) == 9
    assert rate in tried


def test_if_the_whole_range_keeps_the_bound_its_upper_end_is_found_after_two_trials() -> None:
    tried: list[float] = []

    def keeps(rate: float) -> bool:
        tried.append(rate)
        return True

    assert highest_rate(keeps, 1.0, 8.0, 9) == 8.0
    assert tried == [1.0, 8.0]


def test_if_not_even_the_lowest_rate_keeps_the_bound_the_result_is_none() -> None:
    assert highest_rate(lambda _: False, 1.0, 8.0, 9) is None


def test_with_one_trial_the_result_is_the_lowest_rate() -> None:
    assert highest_rate(lambda _: True, 1.0, 8.0, 1) == 1.0


@pytest.mark.parametrize(("low", "high", "trials"), [(0.0, 1.0, 3), (2.0, 1.0, 3), (1.0, 2.0, 0)])
def test_a_search_without_a_range_is_an_error(low: float, high: float, trials: int) -> None:
    with pytest.raises(ValueError, match="0 < low <= high"):
        highest_rate(lambda _: True, low, high, trials)
