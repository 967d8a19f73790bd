from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from scipy.stats import kendalltau

from xibench.measure import stopping
from xibench.measure.stopping import Warmup, WarmupLimits, mann_kendall


def discarded(limits: WarmupLimits, seconds: Iterable[float]) -> tuple[int, str | None]:
    """How many steps the warm-up takes, each as long as it says, and what ended it."""
    warmup, now, taken = Warmup(limits), 50.0, 0
    warmup.begin(now)
    for step_s in seconds:
        if warmup.finished(now) is not None:
            break
        now += step_s
        taken += 1
        warmup.add(step_s)
    return taken, warmup.finished(now)


def test_steady_steps_end_the_warm_up_at_once() -> None:
    assert discarded(WarmupLimits(2, 50, 60), [1.0] * 99) == (5, "no trend")


def test_a_least_number_is_discarded_though_no_trend_shows() -> None:
    assert discarded(WarmupLimits(12, 50, 60), [1.0] * 99) == (12, "no trend")


@pytest.mark.parametrize("direction", [-0.01, 0.01], ids=["faster", "slower"])
def test_a_trend_in_either_direction_keeps_the_warm_up_going(direction: float) -> None:
    drifting = [1.0 + direction * n for n in range(99)]
    assert discarded(WarmupLimits(2, 50, 600), drifting) == (50, "max_warmup_steps 50")


def test_the_warm_up_ends_soon_after_the_trend_has() -> None:
    rng = random.Random(3)
    falling_then_level = [rng.gauss(max(1.0, 2.0 - 0.05 * n), 0.005) for n in range(99)]
    taken, reason = discarded(WarmupLimits(2, 90, 600), falling_then_level)
    assert reason == "no trend"
    assert 20 < taken < 45


def test_a_budget_cuts_off_the_warm_up_of_slow_steps() -> None:
    assert discarded(WarmupLimits(2, 50, 10.0), [4.0] * 99) == (3, "warmup_budget_s 10.0")


def test_the_least_number_is_discarded_whatever_it_costs() -> None:
    assert discarded(WarmupLimits(2, 50, 10.0), [60.0] * 99) == (2, "warmup_budget_s 10.0")


def test_as_many_at_least_as_at_most_is_a_fixed_count() -> None:
    assert discarded(WarmupLimits(3, 3, 60), [1.0] * 9) == (3, "max_warmup_steps 3")
    assert discarded(WarmupLimits(0, 0, 60), [1.0] * 9) == (0, "max_warmup_steps 0")


def test_a_warm_up_forgets_what_was_added_before_it_begins() -> None:
    warmup = Warmup(WarmupLimits(2, 50, 60))
    for _ in range(9):
        warmup.add(1.0)
    warmup.begin(0.0)
    assert warmup.finished(0.0) is None


def test_noise_without_a_trend_is_seldom_taken_for_one() -> None:
    rng = random.Random(11)
    at_once = [discarded(WarmupLimits(2, 50, 1e9), (rng.gauss(1, 0.05) for _ in range(60)))[0] == 5 for _ in range(600)]
    assert sum(at_once) / 600 > 0.95


def test_half_of_the_discarded_steps_are_looked_at_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def record(values: Sequence[float]) -> float:
        looked_at.append(len(values))
        return 0.0  # a trend, whatever the steps

    monkeypatch.setattr(stopping, "mann_kendall", record)
    discarded(WarmupLimits(2, 50, 1e9), [1.0] * 60)
    assert [looked_at[n - 5] for n in (5, 9, 10, 12, 30, 40, 50)] == [5, 5, 5, 6, 15, 20, 20]


def test_the_exact_p_agrees_with_scipy_where_no_two_steps_are_equal() -> None:
    rng = random.Random(7)
    for n in range(3, 21):
        values = [rng.random() + 0.03 * k for k in range(n)]
        assert mann_kendall(values) == pytest.approx(kendalltau(range(n), values, method="exact").pvalue)


def test_five_steps_show_a_trend_only_if_it_never_turns_back() -> None:
    assert mann_kendall([5, 4, 3, 2, 1]) == pytest.approx(2 / 120)
    assert mann_kendall([5, 4, 3, 1, 2]) == pytest.approx(10 / 120)


def test_equal_steps_count_neither_way() -> None:
    # S = 8, variance (5*4*15 - 2*(2*1*9)) / 18, z = 7 / sqrt(variance) = 1.828
    assert mann_kendall([1, 1, 2, 2, 3]) == pytest.approx(0.0676, abs=1e-4)
    assert mann_kendall([2.0] * 8) == 1.0
