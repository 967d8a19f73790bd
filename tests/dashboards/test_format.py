from __future__ import annotations

import pytest

from dashboards import format as fmt
from xibench.measure.statistics import Interval


@pytest.mark.parametrize(
    ("value", "text"), [(12.34, "12.3"), (0.4123, "0.412"), (1234.5, "1,234"), (0.0, "0"), (9.999, "10.0")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert fmt.number(value) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(12.3, 12.1, 12.5, 9), "12.3 [12.1, 12.5]"),
        (Interval(12.345, 12.339, 12.351, 9), "12.345 [12.339, 12.351]"),
        (Interval(12.3, None, None, 2), "12.3"),
        (Interval(27.8, 0.00264, 2152.0, 9), "27.8 [0.00264, 2,152]"),
        (Interval(18.5, 5.07e-8, 158761.0, 9), "18.5 [5e-08, 158,761]"),
        (Interval(2.0, 2.0, 2.0, 5), "2.00 [2.00, 2.00]"),
    ],
)
def test_an_interval_has_the_digits_that_tell_its_bounds_apart(interval: Interval, text: str) -> None:
    assert fmt.interval(interval) == text


def test_lists_read_as_prose() -> None:
    assert [fmt.listing(list(words)) for words in ("", "a", "ab", "abc")] == ["none", "a", "a and b", "a, b and c"]


def test_markup_is_text_in_a_chart() -> None:
    assert fmt.chart_text("<b>&") == "&lt;b&gt;&amp;"
