from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from scipy.stats import binom, ks_2samp, quantile_test

from xibench.measure import statistics
from xibench.measure.statistics import (
    RESAMPLES,
    Interval,
    Outliers,
    bounding_ranks,
    few_units_factor,
    hierarchical_median,
    median_interval,
    outliers,
    percentile,
    resampled_means,
    samples_needed,
    typical_value,
    widened,
)


def drawn(
    rng: np.random.Generator, processes: int, between: float, within: float, steps: int = 20
) -> list[list[float]]:
    """Processes whose typical step differs by `between`, with steps that differ by `within`, around 1 second."""
    levels = rng.normal(0, between, processes)
    return [list(np.exp(level + rng.normal(0, within, steps))) for level in levels]


def covers(found: Interval, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


@pytest.mark.parametrize("processes", [3, 5, 10])
def test_the_interval_over_processes_holds_the_truth_about_95_times_in_100(processes: int) -> None:
    rng = np.random.default_rng(7)
    trials = 300
    held = sum(covers(hierarchical_median(drawn(rng, processes, 0.03, 0.01), t), 1.0) for t in range(trials))
    assert held / trials > 0.92, f"95 % intervals held the truth in {held} of {trials}"


@pytest.mark.parametrize("steps", [3, 4, 5, 6, 8, 20])
def test_the_interval_of_one_process_holds_its_median_about_95_times_in_100_however_few_steps(steps: int) -> None:
    rng = np.random.default_rng(11)
    trials = 400
    held = sum(covers(median_interval(drawn(rng, 1, 0.0, 0.02, steps)[0], t), 1.0) for t in range(trials))
    assert held / trials > 0.92, f"95 % intervals held the truth in {held} of {trials}"


def test_pooling_the_steps_of_several_processes_would_be_far_too_sure() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(200):
        pooled = [step for process in drawn(rng, 3, 0.03, 0.01) for step in process]
        held += covers(median_interval(pooled, trial), 1.0)
    assert held / 200 < 0.8, "or the hierarchy is not needed"


def test_two_processes_give_a_wide_interval_and_ten_a_nearly_plain_one() -> None:
    assert few_units_factor(2) == pytest.approx(math.sqrt(2) * 12.7062 / 1.95996, rel=1e-4)  # t(1) by the tables
    assert 1.1 < few_units_factor(10) < 1.3


def test_quantiles_that_spare_an_import_of_scipy_are_those_of_scipy() -> None:
    for units in range(2, 60):
        expected = math.sqrt(units / (units - 1)) * stdtrit(units - 1, 0.975) / ndtri(0.975)
        assert few_units_factor(units) == pytest.approx(float(expected), rel=1e-15, abs=0)


def test_a_process_with_many_steps_weighs_as_much_as_one_with_few() -> None:
    found = hierarchical_median([[1.0] * 1000, [4.0] * 3])
    assert found.median == pytest.approx(2.0)
    assert (found.n, found.processes) == (1003, 2)


def test_one_process_gives_the_interval_of_its_own_median() -> None:
    assert hierarchical_median([[1.0, 2.0, 3.0, 4.0]], seed=3) == median_interval([1.0, 2.0, 3.0, 4.0], seed=3)


@pytest.mark.parametrize("lengths", [(1,), (4,), (1, 1, 1), (3, 3), (5, 20, 7, 200)])
def test_the_typical_value_is_the_estimate_of_the_interval(lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    processes = [list(rng.uniform(0.01, 0.02, n)) for n in lengths]
    assert typical_value(processes) == hierarchical_median(processes).median


@pytest.mark.parametrize("lengths", [(4, 6), (5, 7), (2, 3, 8)])
def test_the_estimate_is_the_geometric_mean_of_the_medians_of_unsorted_steps(lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    logs = [rng.permutation(rng.normal(0, 1, length) ** 2) for length in lengths]  # skewed: no median is a mean
    expected = math.exp(np.mean([np.median(values) for values in logs]))
    processes = [list(np.exp(values)) for values in logs]
    assert hierarchical_median(processes).median == pytest.approx(expected, rel=1e-12)
    assert typical_value(processes) == pytest.approx(expected, rel=1e-12)


def test_the_order_of_the_steps_changes_no_percentile() -> None:
    steps = list(np.random.default_rng(4).exponential(1, 400))
    for q in (0.5, 0.9, 0.99):
        assert percentile(steps, q) == percentile(sorted(steps), q)
    found = percentile(steps, 0.5)
    assert found.low is not None
    assert found.high is not None
    assert min(steps) < found.low < float(np.median(steps)) < found.high < max(steps)


def test_without_samples_there_is_no_median() -> None:
    with pytest.raises(ValueError, match="received none"):
        median_interval([])
    with pytest.raises(ValueError, match="received none"):
        hierarchical_median([[1.0], []])


def test_p99_of_20_samples_is_null_with_the_number_that_it_would_take() -> None:
    found = percentile([0.1] * 20, 0.99)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert (found.n, found.needed) == (20, 368)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_number_needed_is_the_least_that_can_bound_the_percentile(q: float) -> None:
    n, beyond = samples_needed(q), max(q, 1 - q)
    assert beyond**n <= 0.025 < beyond ** (n - 1)


def test_the_bounds_of_a_percentile_are_order_statistics_that_hold_it() -> None:
    samples = [float(i) for i in range(1, 1001)]
    found = percentile(samples, 0.99)
    assert found.low in samples
    assert found.high in samples
    assert found.low is not None
    assert found.high is not None
    # the number of samples below the true 99th percentile is binomial
    outside = binom.cdf(samples.index(found.low), 1000, 0.99) + binom.sf(samples.index(found.high), 1000, 0.99)
    assert outside <= 0.05


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_a_percentile_is_bounded_by_the_order_statistics_that_scipys_quantile_test_takes(q: float) -> None:
    counts = [*range(samples_needed(q), samples_needed(q) + 200), 1000, 3999, 20_000]
    for n in counts:
        bounds = quantile_test(np.arange(n), q=q * (n - 1), p=q).confidence_interval(0.95)
        assert bounding_ranks(n, q) == (bounds.low, bounds.high), n


@pytest.mark.parametrize("lengths", [(1, 1, 1), (1, 4, 1), (3, 3), (5, 20, 7, 200)])
def test_resamples_are_to_the_last_bit_the_medians_that_numpy_gives_for_the_same_draws(
    lengths: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(3)
    samples = [np.log(rng.uniform(0.01, 0.02, n)) for n in lengths]

    # The definition, written out: resample the samples of each process, then the processes.
    rng = np.random.default_rng(0)
    medians = np.stack([np.median(v[rng.integers(0, len(v), (RESAMPLES, len(v)))], axis=1) for v in samples])
    shape = (RESAMPLES, len(samples))
    expected = medians[rng.integers(0, len(samples), shape), rng.integers(0, RESAMPLES, shape)].mean(axis=1)
    assert np.array_equal(resampled_means(samples, np.random.default_rng(0)), expected)


def test_the_bounds_of_an_interval_are_to_the_last_bit_numpys_percentiles_of_the_resamples() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        samples = [np.log(rng.uniform(0.01, 0.02, 5)) for _ in range(3)]
        means = resampled_means(samples, np.random.default_rng(0))
        centre = float(np.mean([np.median(values) for values in samples]))
        low, high = np.percentile(means, [50 * (1 - 0.95), 100 - 50 * (1 - 0.95)])
        factor = few_units_factor(len(samples))
        assert widened(means, samples) == (centre, centre - factor * (centre - low), centre + factor * (high - centre))


@pytest.mark.parametrize("processes", [2, 3, 10, 100])
@pytest.mark.parametrize("n", [2, 3, 4, 7, 50, 250, 251])
def test_resamples_that_cases_share_give_the_interval_that_their_own_would_to_the_last_bit(
    processes: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(n)
    distinct, tied = rng.uniform(0.01, 0.02, (processes, n)), rng.integers(1, 4, (processes, n)) / 100
    found = [hierarchical_median(samples.tolist(), 2) for samples in (distinct, tied)]
    monkeypatch.setattr(statistics, "TALLIED_UP_TO", 0)
    assert found == [hierarchical_median(samples.tolist(), 2) for samples in (distinct, tied)]


def test_outliers_are_counted_by_tukeys_fences_and_nothing_is_dropped() -> None:
    samples = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 2.6, 9.0]
    found = outliers([samples])
    assert (found.mild, found.severe, found.n) == (1, 1, 10)
    assert percentile(samples, 0.5).n == 10

    # Processes are labelled one by one, whether or not they have equally many samples.
    slower = [10 * value for value in samples]
    short = [1.0, 9.0, 1.0]
    together = outliers([samples, slower, samples[:9], short])
    assert (together.mild, together.severe, together.n) == (3, 2, 32)


def samples_of_size(n: int) -> list[float]:
    return list(np.exp(np.random.default_rng(n).normal(0, 0.05, n)))


@pytest.mark.parametrize("n", [3, 8, 9, 155, 1000, 4001])
def test_resamples_in_blocks_are_those_of_one_block(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = median_interval(samples_of_size(n), 5)
    for block in (1, 7 * n):
        monkeypatch.setattr(statistics, "BLOCK", block)
        assert median_interval(samples_of_size(n), 5) == found


@pytest.mark.parametrize("n", [5, 6, 100, 101, 600, 601])
def test_medians_that_are_drawn_themselves_are_distributed_as_those_of_resamples(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.log(samples_of_size(n))
    resampled, again = (resampled_medians(values, seed) for seed in (1, 2))
    monkeypatch.setattr(statistics, "RESAMPLED_UP_TO", 1)
    themselves = resampled_medians(values, 3)
    assert ks_2samp(resampled, again).pvalue > 0.001
    assert ks_2samp(resampled, themselves).pvalue > 0.001
    assert set(themselves) <= {*values, *np.add.outer(values, values).ravel() / 2}


def resampled_medians(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The medians of resamples of one process: all processes of a hierarchical resample are this one."""
    return resampled_means([values], np.random.default_rng(seed))


@pytest.mark.parametrize("n", [100_000, 1_000_001])
def test_a_median_of_very_many_samples_takes_memory_for_these_alone(n: int) -> None:
    samples = samples_of_size(n)
    tracemalloc.start()
    try:
        found = hierarchical_median([samples, samples], 1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert covers(found, float(np.median(samples)))
    assert peak_bytes < 100 * n + 50 * 2**20


def test_four_samples_can_have_an_outlier_and_fewer_cannot() -> None:
    assert outliers([[1.0, 1.0, 1.0, 2.0]]) == Outliers(1, 0, 4)
    for few in ([1.0, 1.0, 9.0], [1.0, 9.0], [9.0]):  # their interquartile range is as large as any distance
        assert outliers([few]) == Outliers(0, 0, len(few))
