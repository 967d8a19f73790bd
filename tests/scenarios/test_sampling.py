from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from xibench.measure.stopping import StoppingRule
from xibench.record.schema import SamplingConfig
from xibench.scenarios.prepared import PreparedCase
from xibench.scenarios.sampling import LIMIT_SHARE, Deadlines, sampling_rules

SAMPLING = SamplingConfig(
    warmup_steps=1, max_warmup_steps=50, warmup_budget_s=60.0, min_steps=3, max_steps=1000, budget_s=30.0,
    half_width=None, time_limit_s=1000.0, total_budget_s=240.0,
)  # fmt: skip


def prepared(share_s: float | None = None, sampling: SamplingConfig = SAMPLING) -> PreparedCase:
    """What the rules read of a prepared case, in a worker that started at 100 s."""
    deadlines = Deadlines(100.0 + LIMIT_SHARE * sampling.time_limit_s, None if share_s is None else 100.0 + share_s)
    return cast(PreparedCase, SimpleNamespace(sampling=sampling, deadlines=deadlines))


def warmup(case: PreparedCase) -> StoppingRule:
    return sampling_rules(case, None)[0]


def timed_steps(case: PreparedCase) -> StoppingRule:
    return sampling_rules(case, None)[1]


def taken(rule: StoppingRule, step_s: float, now_s: float) -> tuple[int, str, float]:
    """How many steps of one length the rule lets pass, what ended them, and when."""
    steps = 0
    rule.begin(now_s)
    while (reason := rule.finished(now_s)) is None:
        now_s += step_s
        rule.add(step_s)
        steps += 1
    return steps, reason, now_s


def test_timed_steps_end_when_the_share_of_the_budget_is_used_up() -> None:
    assert taken(timed_steps(prepared(share_s=20.0)), 1.0, 110.0) == (10, "total_budget_s 240.0", 120.0)


def test_the_minimum_numbers_of_steps_are_taken_whatever_is_left_of_the_share() -> None:
    assert taken(timed_steps(prepared(share_s=0.0)), 1.0, 110.0)[:2] == (3, "total_budget_s 240.0")
    assert taken(warmup(prepared(share_s=0.0)), 1.0, 110.0)[:2] == (1, "total_budget_s 240.0")


def test_the_warm_up_leaves_of_the_share_what_the_rule_gives_the_timed_steps() -> None:
    rising = [1.0 + n / 100 for n in range(60)]
    rule, now_s, steps = warmup(prepared(share_s=40.0)), 110.0, iter(rising)
    rule.begin(now_s)
    while (reason := rule.finished(now_s)) is None:
        step_s = next(steps)
        now_s += step_s
        rule.add(step_s)
    assert reason == "total_budget_s 240.0"
    assert 128.0 < now_s <= 130.0  # 60 of 90 s of the rule are the warm-up's: two thirds of the 30 s that are left


def test_a_share_that_is_large_changes_nothing() -> None:
    alone = taken(timed_steps(prepared()), 1.0, 110.0)
    assert taken(timed_steps(prepared(share_s=900.0)), 1.0, 110.0) == alone == (30, "budget_s 30.0", 140.0)


@pytest.mark.parametrize("share_s", [None, 5000.0])
def test_steps_end_before_the_time_limit_even_below_their_minimum_number(share_s: float | None) -> None:
    sampling = msgspec.structs.replace(SAMPLING, min_steps=500, time_limit_s=60.0)
    steps, reason, ended_s = taken(timed_steps(prepared(share_s, sampling)), 4.0, 110.0)
    assert reason == "time_limit_s 60.0"
    assert steps == 10
    assert ended_s <= 100.0 + LIMIT_SHARE * 60.0


def test_at_least_one_step_is_timed_after_a_warm_up_that_the_time_limit_left_no_time_for() -> None:
    sampling = msgspec.structs.replace(SAMPLING, time_limit_s=10.0)
    assert taken(warmup(prepared(None, sampling)), 1.0, 200.0)[:2] == (0, "time_limit_s 10.0")
    assert taken(timed_steps(prepared(None, sampling)), 1.0, 200.0)[:2] == (1, "time_limit_s 10.0")


def test_a_warm_up_of_no_steps_stays_one_of_no_steps() -> None:
    sampling = msgspec.structs.replace(SAMPLING, warmup_steps=0, max_warmup_steps=0)
    assert taken(warmup(prepared(sampling=sampling)), 1.0, 110.0)[:2] == (0, "max_warmup_steps 0")
