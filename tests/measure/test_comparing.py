from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nct, t

from xibench.measure import comparing
from xibench.measure.comparing import Ratio, e_value, paired_ratio, unpaired_ratio, verdicts

ONE_PERCENT = 0.01


def sequential_verdict(rng: np.random.Generator, effect: float, deviation: float, most: int = 20) -> str:
    """As `ab` looks: after every pair, until it is decided."""
    logs: list[float] = []
    for n in range(1, most + 1):
        logs.append(rng.normal(math.log1p(effect), deviation))
        if n >= 3 and (verdict := verdicts([paired_ratio(logs)])[0]) != "unsure":
            return verdict
    return "unsure"


def test_the_e_value_is_the_mixture_of_t_distributions_that_its_docstring_says() -> None:
    logs = [0.01, 0.03, 0.02, 0.045, 0.02]
    n, g = len(logs), comparing.EFFECT_VARIANCE
    statistic = np.mean(logs) / np.std(logs, ddof=1) * math.sqrt(n)

    def weighted(effect: float) -> float:
        prior = math.exp(-(effect**2) / (2 * g)) / math.sqrt(2 * math.pi * g)
        return float(nct.pdf(statistic, n - 1, effect * math.sqrt(n)) * prior)

    mixture, _ = quad(weighted, -15, 15, points=[0, 2], limit=200)
    assert e_value(logs) == pytest.approx(mixture / t.pdf(statistic, n - 1), rel=1e-4)


def test_identical_sides_are_hardly_ever_called_different_however_often_one_looks() -> None:
    rng = np.random.default_rng(1)
    called = sum(sequential_verdict(rng, 0.0, 0.02) in ("slower", "faster") for _ in range(600))
    assert called / 600 <= ONE_PERCENT


def test_an_ordinary_t_test_looked_at_after_every_pair_would_cry_wolf() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        logs = rng.normal(0, 0.02, 20)
        alarms += any(2 * t.sf(abs(logs[:n].mean()) / (logs[:n].std(ddof=1) / math.sqrt(n)), n - 1) < ONE_PERCENT
                      for n in range(3, 21))  # fmt: skip
    assert alarms / 300 > 2 * ONE_PERCENT, "or e-values are not needed"


def test_three_per_cent_is_found_at_the_spread_of_a_shared_machine() -> None:
    rng = np.random.default_rng(2)
    found = [sequential_verdict(rng, 0.03, 0.015) for _ in range(200)]
    assert found.count("slower") / 200 >= 0.95
    assert found.count("faster") == 0


def test_the_confidence_sequence_holds_the_truth_at_every_look() -> None:
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        logs = rng.normal(0.01, 0.02, 20)
        missed += any(
            abs(np.mean(logs[:n]) - 0.01) > comparing.confidence_sequence(list(logs[:n]), 0.05) for n in range(2, 21)
        )
    assert missed / 400 <= 0.05


def test_a_certain_difference_within_the_threshold_is_the_same() -> None:
    assert verdicts([Ratio(1.004, 1.003, 1.005, 1e-9, 20, paired=True)], threshold=0.02) == ["same"]


def test_without_enough_processes_there_is_a_doubt_and_no_interval() -> None:
    ratio = unpaired_ratio([[1.0, 1.01, 0.99]], [[2.0, 2.01, 1.99]])
    assert ratio.ratio == pytest.approx(2.0)
    assert (ratio.low, ratio.high, ratio.p) == (None, None, None)
    assert verdicts([ratio]) == ["unsure"]


def test_stored_runs_that_differ_by_far_more_than_their_processes_are_told_apart() -> None:
    base = [[1.0, 1.01], [1.02, 1.01], [0.99, 1.0], [1.01, 1.0]]
    new = [[step * 1.3 for step in process] for process in base]
    assert verdicts([unpaired_ratio(base, new), unpaired_ratio(new, base)]) == ["slower", "faster"]


def test_many_cases_at_once_are_corrected_for_being_many() -> None:
    weak = Ratio(1.05, 1.025, 1.08, 0.009, 5, paired=False)
    none = Ratio(1.0, 0.9, 1.1, 0.8, 5, paired=False)
    assert verdicts([weak])[0] == "slower"
    assert verdicts([weak, *[none] * 9])[0] == "unsure"


def test_the_interval_of_stored_runs_holds_the_true_ratio_about_95_times_in_100() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for trial in range(200):
        base, new = ([list(np.exp(rng.normal(m + rng.normal(0, 0.03), 0.01, 8))) for _ in range(4)] for m in (0, 0.1))
        ratio = unpaired_ratio(base, new, trial)
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= math.exp(0.1) <= ratio.high
    assert held / 200 >= 0.92


def test_the_detectable_change_is_found_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    change = comparing.detectable(0.01, 8)
    assert change is not None
    logs = rng.normal(math.log1p(change), 0.01, (400, 8))
    found = np.mean([e_value(list(row)) >= 100 for row in logs])
    assert 0.92 <= found <= 0.98


def test_too_few_pairs_can_find_no_change_at_all() -> None:
    assert comparing.detectable(0.01, 2) is None
