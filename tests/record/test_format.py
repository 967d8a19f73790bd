from __future__ import annotations

from typing import Any

import pytest

from xibench.measure.statistics import Interval, Percentile
from xibench.record import format, metrics
from xibench.record.metrics import Metric, Value


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (125.4, "2 min 5 s"), (3.2, "3.20 s"), (0.0451, "45.1 ms"), (4.5e-5, "45.0 µs"), (2e-9, "2.00 ns")],
)
def test_seconds_take_the_unit_that_fits(value: float | None, shown: str) -> None:
    assert format.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (512 << 20, "512 MiB"), (3 << 40, "3.00 TiB")],
)
def test_bytes_are_in_powers_of_1024(value: int | None, shown: str) -> None:
    assert format.size(value) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(8_357_403_496, "MAC", "8.36 GMAC"), (22_855_952, "", "22.9 M"), (999, "", "999"), (None, "", "–")],
)
def test_counts_are_in_powers_of_1000(value: int | None, unit: str, shown: str) -> None:
    assert format.count(value, unit) == shown


def test_an_interval_is_shown_with_its_bounds_and_a_missing_one_as_such() -> None:
    assert format.interval(Interval(6.123, 6.01, 6.2, 20)) == "6.12 [6.01, 6.20]"
    assert format.interval(Interval(6.123, None, None, 2)) == "6.12 [too few]"
    assert format.interval(None) == "–"


def test_an_interval_may_be_shown_in_another_unit() -> None:
    assert format.interval(Interval(0.0123, 0.0120, 0.0125, 20), 1e3) == "12.3 [12.0, 12.5]"


def test_a_percentile_that_the_samples_cannot_support_says_how_many_it_takes() -> None:
    assert format.percentile(Percentile(0.99, None, None, None, 20, 368), 1e3) == "– (needs 368)"
    assert format.percentile(Percentile(0.5, 0.0451, 0.044, 0.0473, 20, 6), 1e3) == "45.1 [44.0, 47.3]"
    assert format.percentile(None) == "–"


@pytest.mark.parametrize(("share", "shown"), [(0.312, "31 %"), (0.024, "2.4 %"), (0.0, "0 %"), (None, "–")])
def test_a_share_is_a_percentage(share: float | None, shown: str) -> None:
    assert format.percent(share) == shown


@pytest.mark.parametrize(
    ("number", "word", "shown"), [(1, "case", "1 case"), (12, "step", "12 steps"), (3, "process", "3 processes")]
)
def test_things_are_counted_in_english(number: int, word: str, shown: str) -> None:
    assert format.counted(number, word) == shown


@pytest.mark.parametrize(
    ("value", "text"), [(12.34, "12.3"), (0.4123, "0.412"), (1234.5, "1,234"), (0.0, "0"), (9.999, "10.0")]
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    assert format.number(value) == text


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
    assert format.estimate(interval) == text


def test_lists_read_as_prose() -> None:
    assert [format.listing(list(words)) for words in ("", "a", "ab", "abc")] == ["none", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("metric", "value", "heading", "figure", "sentence"),
    [
        (metrics.IMAGES_PER_S, Interval(6.123, 6.01, 6.2, 9), "images/s\n[95 %]", "6.12 [6.01, 6.20]",
         "6.12 [6.01, 6.20] images/s"),
        (metrics.STEP_S, Interval(0.0123, 0.012, 0.0125, 9), "ms/step", "12.3", "12.3 ms/step"),
        (metrics.P50_S, Percentile(0.5, 0.0451, 0.044, 0.0473, 20, 6), "p50\n[95 %] ms", "45.1 [44.0, 47.3]",
         "p50 45.1 [44.0, 47.3] ms"),
        (metrics.ATTAINED, 0.25, "attained", "25 %", "25 % attained"),
        (metrics.DEVICE_PEAK_BYTES, 3 << 30, "", "3.00 GiB", "3.00 GiB device_peak_bytes"),
        (metrics.HIGHEST_RATE_HZ, None, "highest rate\nqueries/s", "–", "highest rate – queries/s"),
    ],
)
def test_a_metric_is_shown_as_its_entry_says(
    metric: Metric[Any], value: Value | None, heading: str, figure: str, sentence: str
) -> None:
    shown = (format.heading(metric), format.figure(metric, value), format.sentence(metric, value))
    assert shown == (heading, figure, sentence)
