"""Changes of series: found on the night on which they can be, in both directions, and taken back where they end."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xibench.history.changes import Change, changes
from xibench.history.evidence import Array


def quiet(series: int, nights: int, seed: int = 1, deviation: float = 0.01) -> Array:
    return np.random.default_rng(seed).normal(0, deviation, (series, nights))


def found_in(values: Array) -> list[list[Change]]:
    return changes(list(values))


@pytest.mark.parametrize("ratio", [1.08, 1 / 1.08])
def test_a_step_is_found_after_three_nights_where_it_happened_and_nothing_else_is(ratio: float) -> None:
    values = quiet(20, 40)
    values[7, 30:] += math.log(ratio)
    found = found_in(values)
    (change,) = found.pop(7)
    assert not any(found)
    assert (change.first, change.found, change.state) == (30, 32, "candidate")
    assert math.exp(change.log_ratio) == pytest.approx(ratio, abs=0.02)


def test_what_is_found_on_a_night_does_not_depend_on_later_nights() -> None:
    values = quiet(20, 60)
    values[:5, 25:] += 0.07
    values[2, 45:] -= 0.07
    whole = found_in(values)
    for nights in (27, 28, 40, 50):
        until = found_in(values[:, :nights])
        for known, later in zip(until, whole, strict=True):
            assert [(c.first, c.found) for c in known] == [(c.first, c.found) for c in later if c.found < nights]


def test_a_bad_night_or_two_are_no_change() -> None:
    values = quiet(20, 40)
    values[3, 30] += 0.5
    values[4, 30:32] += 0.1
    assert not any(found_in(values))


def test_a_series_that_returns_within_days_went_away_and_can_change_again() -> None:
    values = quiet(20, 70)
    values[3, 30:34] += 0.1
    values[3, 60:] += 0.1
    first, second = found_in(values)[3]
    assert (first.first, first.state) == (30, "went away")
    assert (second.first, second.state) == (60, "candidate")

    # It does not take eleven nights after the return until it can.
    values[3, 36:] = values[3, 60]
    _, again = found_in(values)[3]
    assert again.found <= 39


def test_a_level_that_the_series_had_before_is_a_known_state_and_a_new_one_is_not() -> None:
    values = quiet(20, 120)
    values[3, 30:60] += 0.1
    values[3, 90:] += 0.2
    assert [(c.first, c.state) for c in found_in(values)[3]] == [
        (30, "candidate"), (60, "known state"), (90, "candidate"),
    ]  # fmt: skip


def test_a_drift_is_no_step() -> None:
    values = quiet(100, 60) + np.linspace(0, 0.1, 60)
    assert sum(map(bool, found_in(values))) <= 3


def test_series_may_begin_late_end_early_and_miss_nights() -> None:
    values = quiet(20, 60)
    values[:, 40:] += 0.08
    kept = [list(range(60)) for _ in range(20)]
    kept[1] = list(range(15, 60))
    kept[2] = [night for night in range(60) if night % 5]
    kept[3] = list(range(30))
    found = changes([values[i, nights] for i, nights in enumerate(kept)], kept)
    assert [kept[i][found[i][0].first] for i in (0, 1)] == [40, 40]
    assert kept[2][found[2][0].first] == 41  # night 40 was missed
    assert kept[2][found[2][0].found] == 43
    assert found[3] == []
    assert changes([]) == []
    assert changes([np.array([]), np.zeros(1)]) == [[], []]
