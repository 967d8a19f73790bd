"""The evidence that the level of a series has changed a few nights ago, against noise that may be correlated or drift.

A night's value depends on what the machine did that night, and often on what it did the night before. A test that takes
the nights for independent calls such a series changed again and again. Here a step is therefore compared with several
models of the noise at once, each of which has a weight:

    y_t = level + slope u_t + step [t >= s] + e_t,    e_t = r e_(t-1) + innovation of deviation d,    u_t in -1..1

A model has one of CORRELATIONS as r and one of SLOPES. The level has a flat prior, the slope N(0, (SLOPES d)^2), the
step N(0, (STEP d)^2), and d^2 a scaled inverse chi-squared prior. All of them integrate out in closed form (Zellner
1971, chapters 3 and 4), so that the evidence for a step at s is a Bayes factor: the likelihood of the series with a
step, averaged over the models, divided by the likelihood without one, averaged over the same models.

The weights of the models and the prior of d^2 are those that the series of one machine show together (empirical Bayes;
for d^2 that of Smyth 2004, as in the moderated t-test): `Noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CORRELATIONS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98)
SLOPES: Final = (0.0, 1.0, 3.0)  # deviations of the slope's prior over half the nights, in those of the innovations
MODELS: Final = tuple(product(CORRELATIONS, SLOPES))
_SHARES: Final = np.array([(11 if correlation == 0 else 1) * (2 if slope == 0 else 1) for correlation, slope in MODELS])
PRIOR: Final = _SHARES / _SHARES.sum()
PRIOR_SERIES: Final = 10.0  # the prior weighs as much as this many series
STEP: Final = 2.0  # deviation of the step's prior, in deviations of the innovations
MAX_FREEDOM: Final = 200.0  # degrees of freedom of the prior of d^2, if the series show no difference in it
MIN_SERIES: Final = 10  # from which that prior is learned
WINDOW: Final = 150  # nights that are looked at; what happened earlier says little about the noise of today
MIN_AFTER: Final = 3  # nights after a step before it is believed: one bad night, or two, are no step
MAX_AFTER: Final = 10
MIN_BEFORE: Final = 8  # nights before a step, from which the noise is learned
MIN_NIGHTS: Final = MIN_BEFORE + MIN_AFTER
UNDERFLOW: Final = 1e-12  # relative: a series of equal values has no deviation, and its logarithm must exist


class Noise(NamedTuple):
    """What the series of a machine show together about their noise.

    Attributes:
        weights: A weight per model; they add up to 1.
        variance: Typical variance of the innovations.
        freedom: Degrees of freedom of the variance's prior: how many nights of a series it is worth.
    """

    weights: Array
    variance: float
    freedom: float


UNKNOWN: Final = Noise(PRIOR, 0.0, 0.0)
"""The noise of a machine of which nothing is known."""


class Residuals(NamedTuple):
    """What some series of equal length show about a step at each of their last nights, before the noise is known.

    Attributes:
        nights: Nights of the series.
        after: Nights after the step, per split.
        squares: Residual sum of squares without a step, (series, models).
        explained: The part of it that a step explains, (series, splits, models).
        steps: Least-squares estimates of the step, (series, splits, models), in the unit of the values.
        spread: The root of the precision of that estimate for innovations of deviation 1, (splits, models).
        log_factors: The logarithm of the likelihood's factor that does not depend on the values, per model.
    """

    nights: int
    after: tuple[int, ...]
    squares: Array
    explained: Array
    steps: Array
    spread: Array
    log_factors: Array

    def of(self, row: int) -> Residuals:
        """Return those of one series."""
        return self._replace(
            squares=self.squares[row : row + 1], explained=self.explained[row : row + 1],
            steps=self.steps[row : row + 1],
        )  # fmt: skip

    def log_likelihoods(self, noise: Noise) -> tuple[Array, Array]:
        """Return the log likelihoods without a step, (series, models), and with one, (series, splits, models)."""
        power = (self.nights - 1 + noise.freedom) / 2
        left = self.squares + noise.freedom * noise.variance
        gain = (STEP * self.spread) ** 2
        share = np.minimum(gain / (1 + gain) * self.explained / left[:, None], 1 - UNDERFLOW)
        without = self.log_factors - power * np.log(left)
        return without, without[:, None] - np.log1p(gain) / 2 - power * np.log1p(-share)

    def log_bayes_factors(self, noise: Noise) -> Array:
        """Return the natural logarithm of the Bayes factor of a step, (series, splits)."""
        without, with_step = self.log_likelihoods(noise)
        return _log_mean(with_step, noise.weights) - _log_mean(without, noise.weights)[:, None]

    def step(self, noise: Noise) -> Array:
        """Return the estimates of the step, (series, splits), averaged over the models as each series weighs them."""
        log = self.log_likelihoods(noise)[1] + np.log(noise.weights)
        shares = np.exp(log - log.max(axis=-1, keepdims=True))
        averaged: Array = (self.steps * shares).sum(axis=-1) / shares.sum(axis=-1)
        return averaged


def residuals(values: Array) -> Residuals | None:
    """Fit every model to series, without a step and with one at each of the last nights.

    Args:
        values: (series, nights), on a scale on which noise adds: logarithms of times. The last WINDOW nights count.

    Returns:
        The residuals; None if there are fewer than MIN_NIGHTS nights.
    """
    values = values[:, -WINDOW:]
    nights = values.shape[1]
    if nights < MIN_NIGHTS:
        return None
    centred = values - values.mean(axis=1, keepdims=True)
    least = UNDERFLOW * (1 + np.abs(values).max(axis=1)) ** 2
    squares, explained, steps = [], [], []
    after, designs = _designs(nights)
    for design in designs:
        whitened = _whiten(centred, design.correlation)
        left = (whitened**2).sum(axis=1) - ((whitened @ design.columns) ** 2).sum(axis=1)
        along = whitened @ design.directions.T
        squares.append(np.maximum(left, least))
        explained.append(along**2)
        steps.append(along / design.norms)
    return Residuals(
        nights, after, np.stack(squares, -1), np.stack(explained, -1), np.stack(steps, -1),
        np.stack([design.norms for design in designs], -1), np.array([design.log_factor for design in designs]),
    )  # fmt: skip


def learn_noise(found: Sequence[Residuals], before: Noise = UNKNOWN) -> Noise:
    """Learn from all series of a machine which noise they have.

    The weights are those under which the series are most likely (expectation and maximisation, with a Dirichlet prior
    worth PRIOR_SERIES series). The prior of the variance has the mean and the spread of the series' own (Smyth 2004,
    section 6.2). A series counts with a step where that is likelier: a true step is not to pass for noise.

    Args:
        found: The residuals of the series, in groups of equal length.
        before: The noise as known so far, by which the series are weighed.

    Returns:
        The noise.
    """
    if not found:
        return before
    log = np.concatenate([np.maximum(a, b.max(axis=1)) for a, b in (each.log_likelihoods(before) for each in found)])
    likelihood = np.exp(log - log.max(axis=1, keepdims=True))
    weights: Array = PRIOR
    for _ in range(50):
        shares = likelihood * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = (shares.sum(axis=0) + PRIOR_SERIES * PRIOR) / (len(shares) + PRIOR_SERIES)
    return Noise(weights, *_variance_prior(found, Noise(weights, before.variance, before.freedom)))


def _variance_prior(found: Sequence[Residuals], noise: Noise) -> tuple[float, float]:
    """Return the typical variance of the innovations and what it is worth, in degrees of freedom (Smyth 2004)."""
    from scipy.special import digamma, polygamma

    variances, freedoms = [], []
    for each in found:
        without, with_step = each.log_likelihoods(noise)
        split = with_step.argmax(axis=1)
        stepped = np.take_along_axis(with_step, split[:, None], axis=1)[:, 0] - np.log(each.nights)
        model = np.argmax(np.maximum(without, stepped) + np.log(noise.weights), axis=1)
        rows = np.arange(len(model))
        steps = stepped[rows, model] > without[rows, model]
        left = each.squares[rows, model] - np.where(steps, each.explained[rows, split[rows, model], model], 0)
        freedoms.append(each.nights - 1 - steps)
        variances.append(np.maximum(left, UNDERFLOW * each.squares[rows, model]) / freedoms[-1])
    variance, half = np.concatenate(variances), np.concatenate(freedoms) / 2
    if len(variance) < MIN_SERIES:
        return 0.0, 0.0

    # What the logarithms scatter beyond what their own degrees of freedom make them scatter is the prior's.
    corrected = np.log(variance) - digamma(half) + np.log(half)
    beyond = float(np.var(corrected, ddof=1) - np.mean(polygamma(1, half)))
    freedom = MAX_FREEDOM if beyond <= polygamma(1, MAX_FREEDOM / 2) else 2 * _inverse_trigamma(beyond)
    return float(np.exp(np.mean(corrected) + digamma(freedom / 2) - np.log(freedom / 2))), freedom


def _inverse_trigamma(value: float) -> float:
    """Return x with polygamma(1, x) = value, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(20):
        slope = float(polygamma(1, x))
        x += slope * (1 - slope / value) / float(polygamma(2, x))
    return x


class _Design(NamedTuple):
    """What a model makes of a number of nights, before any value is known."""

    correlation: float
    columns: Array  # (nights, columns): unit vectors of what the level and the slope explain
    directions: Array  # (splits, nights): the unit vector along which a step shows
    norms: Array  # its length for a step of 1, per split
    log_factor: float  # of the likelihood, where it does not depend on the values


@lru_cache(maxsize=2 * WINDOW)
def _designs(nights: int) -> tuple[tuple[int, ...], tuple[_Design, ...]]:
    after = tuple(range(1, min(MAX_AFTER, nights - MIN_BEFORE) + 1))
    return after, tuple(_design(nights, after, *model) for model in MODELS)


def _design(nights: int, after: tuple[int, ...], correlation: float, slope: float) -> _Design:
    columns = _whiten(np.ones((1, nights)), correlation)
    steps = _whiten(np.array([[float(night >= nights - n) for night in range(nights)] for n in after]), correlation)

    # The slope's prior is one more observation, of a slope of 0.
    if slope:
        columns = np.vstack([columns, _whiten(np.linspace(-1, 1, nights)[None], correlation)])
        columns = np.hstack([columns, [[0], [1 / slope]]])
        steps = np.hstack([steps, np.zeros((len(after), 1))])

    q, r = np.linalg.qr(columns.T)
    seen = steps - steps @ q @ q.T
    norms = np.linalg.norm(seen, axis=1)
    log_factor = np.log(1 - correlation**2) / 2 - np.log(np.abs(np.diag(r))).sum() - (np.log(slope) if slope else 0)
    return _Design(correlation, q[:nights], (seen / norms[:, None])[:, :nights], norms, float(log_factor))


def _whiten(nights: Array, correlation: float) -> Array:
    """Return what is new in each night; of the first, what its stationary distribution makes of it."""
    first = nights[:, :1] * np.sqrt(1 - correlation**2)
    return np.hstack([first, nights[:, 1:] - correlation * nights[:, :-1]])


def _log_mean(log_likelihood: Array, weights: Array) -> Array:
    """Return the logarithm of the weighted mean of likelihoods over the last axis."""
    greatest = log_likelihood.max(axis=-1, keepdims=True)
    total: Array = np.log((np.exp(log_likelihood - greatest) * weights).sum(axis=-1)) + greatest[..., 0]
    return total
