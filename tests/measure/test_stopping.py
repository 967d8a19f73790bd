from __future__ import annotations

import random

import pytest
from scipy.stats import binom

from xibench.measure.stopping import (
    EXACT_UP_TO,
    Deadline,
    Limits,
    StoppingRule,
    TimedSteps,
    Warmup,
    WarmupLimits,
    lower_rank,
)

MANY = 10**6


def steps_until_finished(rule: StoppingRule, seconds: list[float]) -> tuple[int, str | None]:
    """How many steps were taken, each as long as it says, and what ended them; None if nothing did."""
    now = 100.0
    rule.begin(now)
    for taken, step_s in enumerate(seconds):
        if (reason := rule.finished(now)) is not None:
            return taken, reason
        now += step_s
        rule.add(step_s)
    return len(seconds), rule.finished(now)


def limited(
    min_steps: int = 1, max_steps: int = MANY, budget_s: float = 1e9, half_width: float | None = None
) -> TimedSteps:
    return TimedSteps(Limits(min_steps, max_steps, budget_s, half_width))


def test_a_count_ends_at_its_number() -> None:
    assert steps_until_finished(limited(max_steps=4), [1.0] * 9) == (4, "max_steps 4")


def test_a_budget_ends_with_the_first_step_that_reaches_it() -> None:
    assert steps_until_finished(limited(budget_s=2.5), [1.0] * 9) == (3, "budget_s 2.5")


@pytest.mark.parametrize(
    "rule",
    [
        limited(0, max_steps=0),
        limited(0, budget_s=0.0),
        TimedSteps(Limits(0, MANY, 1e9), deadlines=[Deadline(0.0, "deadline")]),
    ],
)
def test_at_least_one_step_is_timed(rule: StoppingRule) -> None:
    assert steps_until_finished(rule, [1.0] * 3)[0] == 1


def test_steady_steps_are_enough_once_there_are_six() -> None:
    assert steps_until_finished(limited(half_width=0.01), [1.0] * 9) == (6, "half_width 0.01")


def test_steps_that_scatter_take_until_the_interval_of_the_median_is_narrow() -> None:
    rng = random.Random(1)
    seconds = [rng.gauss(1.0, 0.05) for _ in range(3000)]
    taken, reason = steps_until_finished(limited(half_width=0.01), seconds)
    assert reason == "half_width 0.01"
    # half the interval of a median of normal values is 1.96 * 1.253 * 0.05 / sqrt(n): 1 % takes about 150
    assert 30 < taken < 320  # fewer, because it is looked at after every step


def test_steps_that_scatter_widely_never_are_enough_for_a_narrow_interval() -> None:
    assert steps_until_finished(limited(half_width=0.01), [1.0, 2.0] * 40) == (80, None)


def test_the_half_width_is_a_share_of_the_median() -> None:
    spread = [0.98, 1.02, 0.99, 1.01, 1.0, 1.0]  # six steps: their whole range is the interval
    assert steps_until_finished(limited(half_width=0.019), spread)[1] is None
    assert steps_until_finished(limited(half_width=0.021), spread)[1] == "half_width 0.021"
    assert steps_until_finished(limited(half_width=0.021), [1000 * step for step in spread])[1] == "half_width 0.021"


def test_the_first_limit_that_is_reached_is_named() -> None:
    assert steps_until_finished(limited(max_steps=5, budget_s=2.5), [1.0] * 9) == (3, "budget_s 2.5")
    assert steps_until_finished(limited(max_steps=2, budget_s=2.5), [1.0] * 9) == (2, "max_steps 2")
    assert steps_until_finished(limited(3, half_width=0.01), [1.0] * 99) == (6, "half_width 0.01")
    assert steps_until_finished(limited(3, 50), [1.0] * 99) == (50, "max_steps 50")


def test_the_minimum_number_of_steps_is_taken_whatever_they_take() -> None:
    assert steps_until_finished(limited(5, budget_s=2.5), [10.0] * 9) == (5, "budget_s 2.5")
    assert steps_until_finished(limited(8, half_width=0.01), [1.0] * 9) == (8, "half_width 0.01")


def test_never_more_than_the_maximum_number_of_steps_is_taken() -> None:
    assert steps_until_finished(limited(9, 4, 2.5), [1.0] * 20) == (4, "max_steps 4")


def test_no_step_starts_that_would_end_after_a_deadline() -> None:
    rule = TimedSteps(Limits(1, MANY, 1e9), deadlines=[Deadline(110.0, "deadline")])
    assert steps_until_finished(rule, [4.0] * 9) == (2, "deadline")
    warmup = Warmup(WarmupLimits(9, MANY, 1e9), deadlines=[Deadline(110.0, "deadline")])
    assert steps_until_finished(warmup, [4.0] * 9) == (2, "deadline")


def test_the_last_step_is_what_another_one_is_taken_to_need_also_where_steps_are_sorted() -> None:
    rule = TimedSteps(Limits(1, MANY, 1e9, half_width=1e-6), deadlines=[Deadline(120.0, "deadline")])
    assert steps_until_finished(rule, [1.0, 9.0, *[1.0, 2.0] * 9]) == (8, "deadline")


def test_a_deadline_may_leave_the_minimum_number_of_steps_and_a_share_of_its_time() -> None:
    rule = TimedSteps(Limits(1, MANY, 1e9), deadlines=[Deadline(110.0, "deadline", min_steps=5)])
    assert steps_until_finished(rule, [4.0] * 9) == (5, "deadline")
    rule = TimedSteps(Limits(1, MANY, 1e9), deadlines=[Deadline(120.0, "deadline", share=0.5)])
    assert steps_until_finished(rule, [4.0] * 9) == (2, "deadline")


def test_of_several_deadlines_the_first_that_is_missed_ends_the_steps() -> None:
    deadlines = [Deadline(130.0, "late"), Deadline(110.0, "early")]
    assert steps_until_finished(TimedSteps(Limits(1, MANY, 1e9), deadlines=deadlines), [4.0] * 9) == (2, "early")


@pytest.mark.parametrize("rule", [limited(max_steps=2), limited(budget_s=2.0), limited(half_width=0.01)])
def test_a_rule_forgets_what_was_added_before_it_begins(rule: StoppingRule) -> None:
    for _ in range(8):
        rule.add(1.0)
    rule.begin(100.0)
    assert rule.finished(200.0) is None


def test_the_ranks_of_the_medians_interval_are_the_closest_that_hold_95_per_cent() -> None:
    for n in range(1, EXACT_UP_TO + 1):
        rank = lower_rank(n) or 0
        assert binom.cdf(rank - 1, n, 0.5) <= 0.025 < binom.cdf(rank, n, 0.5), n


def test_beyond_the_exact_ranks_the_interval_holds_95_per_cent_and_not_much_more() -> None:
    for n in range(EXACT_UP_TO + 1, 4000, 7):
        rank = lower_rank(n)
        assert rank is not None
        assert 0.95 <= 1 - 2 * binom.cdf(rank - 1, n, 0.5) <= 0.97, n
