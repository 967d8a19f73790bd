"""The evidence against the integrals that define it, and what a machine's series teach about their noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from xibench.history import evidence
from xibench.history.evidence import MODELS, STEP, UNKNOWN, Array, Noise, learn_noise, residuals


def model_alone(correlation: float, slope: float) -> Noise:
    return Noise(np.array([float(model == (correlation, slope)) for model in MODELS]), 0.0, 0.0)


def covariance(nights: int, correlation: float, slope: float, step: float, after: int) -> Array:
    """Covariance of the values for innovations of deviation 1, with all but the level integrated out."""
    lags = np.abs(np.subtract.outer(np.arange(nights), np.arange(nights)))
    line, new = np.linspace(-1, 1, nights), (np.arange(nights) >= nights - after).astype(float)
    noise: Array = correlation**lags / (1 - correlation**2)
    return noise + slope**2 * np.outer(line, line) + step**2 * np.outer(new, new)


def likelihood(values: Array, shape: Array) -> float:
    """The likelihood, the flat priors of the level and of the logarithm of the deviation integrated numerically."""
    nights = len(values)
    differences = np.eye(nights)[1:] - np.eye(nights)[:-1]  # which no level reaches
    seen, spread = differences @ values, differences @ shape @ differences.T
    scale = float(np.std(values))
    whole = quad(
        lambda log: np.exp(multivariate_normal.logpdf(seen, cov=np.exp(2 * log) * scale**2 * spread)), -4, 4, limit=200
    )
    return float(whole[0])


@pytest.mark.parametrize(("correlation", "slope"), [(0.0, 0.0), (0.5, 0.0), (0.94, 0.0), (0.0, 1.0), (0.8, 3.0)])
def test_the_bayes_factor_is_the_quotient_of_the_integrals_that_define_it(correlation: float, slope: float) -> None:
    values = np.random.default_rng(1).normal(0, 0.02, 16)
    values[-4:] += 0.05
    fit = residuals(values[None])
    assert fit is not None
    found = fit.log_bayes_factors(model_alone(correlation, slope))[0]
    for split in (0, 3, 4):
        after = fit.after[split]
        expected = np.log(
            likelihood(values, covariance(16, correlation, slope, STEP, after))
            / likelihood(values, covariance(16, correlation, slope, 0.0, after))
        )
        assert found[split] == pytest.approx(expected, abs=1e-6)


def test_models_are_compared_by_the_integrals_too() -> None:
    values = np.cumsum(np.random.default_rng(2).normal(0, 0.01, 14))
    fit = residuals(values[None])
    assert fit is not None
    found = fit.log_likelihoods(UNKNOWN)[0][0]
    compared = [(0.0, 0.0), (0.8, 0.0), (0.0, 3.0), (0.98, 1.0)]
    expected = [np.log(likelihood(values, covariance(14, *model, 0.0, 1))) for model in compared]
    of = {model: found[number] for number, model in enumerate(MODELS)}
    for (a, left), (b, right) in itertools.combinations(zip(compared, expected, strict=True), 2):
        assert of[a] - of[b] == pytest.approx(left - right, abs=1e-6)


def test_values_in_another_unit_or_at_another_level_are_the_same_evidence() -> None:
    values = np.random.default_rng(3).normal(0, 0.02, (5, 30))
    one, other = residuals(values), residuals(7 * values - 3)
    assert one is not None
    assert other is not None
    assert other.log_bayes_factors(UNKNOWN) == pytest.approx(one.log_bayes_factors(UNKNOWN), abs=1e-6)
    assert other.step(UNKNOWN) == pytest.approx(7 * one.step(UNKNOWN), rel=1e-6)


def test_too_few_nights_have_no_evidence_and_only_the_last_ones_count() -> None:
    assert residuals(np.zeros((1, evidence.MIN_NIGHTS - 1))) is None
    long = np.random.default_rng(4).normal(0, 1, (1, evidence.WINDOW + 50))
    whole, last = residuals(long), residuals(long[:, -evidence.WINDOW :])
    assert whole is not None
    assert last is not None
    assert np.array_equal(whole.squares, last.squares)


@pytest.mark.parametrize("values", [np.zeros(20), np.r_[np.zeros(15), np.ones(5)], np.linspace(0, 1, 20)])
def test_series_without_any_noise_have_finite_evidence(values: Array) -> None:
    fit = residuals(values[None])
    assert fit is not None
    assert np.all(np.isfinite(fit.log_bayes_factors(UNKNOWN)))
    assert (fit.log_bayes_factors(UNKNOWN).max() > 10) == (values[-1] == 1 and values[10] == 0)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("deviation", [0.01, 0.1])
def test_the_noise_of_a_machine_is_learned_from_its_series_even_if_many_changed(
    correlation: float, deviation: float
) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(0, deviation, (200, 60))
    for night in range(1, 60):
        values[:, night] += correlation * values[:, night - 1]
    values[:60, 54:] += 8 * deviation
    fit = residuals(values)
    assert fit is not None
    noise = learn_noise([fit])
    mean = float(sum(weight * r for weight, (r, _) in zip(noise.weights, MODELS, strict=True)))
    assert mean == pytest.approx(correlation, abs=0.05)
    assert noise.variance == pytest.approx(deviation**2, rel=0.05)
    assert noise.freedom > 60
    assert noise.weights.sum() == pytest.approx(1)


def test_series_of_very_different_noise_teach_little_about_each_others_variance() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(0, 1, (200, 40)) * rng.choice([0.01, 0.03, 0.1], (200, 1))
    fit = residuals(values)
    assert fit is not None
    assert learn_noise([fit]).freedom < 5
    assert learn_noise([fit.of(0)]).freedom == 0  # one series says nothing about others
