"""Values of options: each unit means what it says, and what may be meant in two ways is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from xibench.cli.options import byte_count, latency_seconds, positive_seconds, share


@pytest.mark.parametrize(
    ("text", "found"),
    [("2", 2), ("2s", 2), ("2 s", 2), ("500ms", 0.5), ("1.5min", 90), ("2h", 7200), (0.25, 0.25), ("1e-3", 0.001)],
)
def test_seconds_have_units(text: str | float, found: float) -> None:
    assert positive_seconds(text) == pytest.approx(found)
    if str(text) != "2h":
        assert latency_seconds(text) == pytest.approx(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9B", 9), ("3KiB", 3072), ("1.5MiB", 1_572_864), ("8GiB", 8_589_934_592), ("2 TiB", 2_199_023_255_552),
        ("1048576", 1_048_576), (2_000_000, 2_000_000),
    ],
)  # fmt: skip
def test_bytes_have_units_in_powers_of_1024(text: str | int, found: int) -> None:
    assert byte_count(text) == found


@pytest.mark.parametrize(("text", "found"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02), ("0", 0.0)])
def test_a_share_is_a_number_or_a_percentage(text: str, found: float) -> None:
    assert share(text) == pytest.approx(found)


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (latency_seconds, "10", "received 10 without a unit: write 10ms or 10s"),
        (latency_seconds, "200", "received 200 without a unit: write 200ms or 200s"),
        (byte_count, "8", "received 8 without a unit: write 8GiB, or 8B"),
        (byte_count, "1048575", "received 1048575 without a unit"),
        (positive_seconds, "0", "received 0, expected seconds above 0"),
        (positive_seconds, "-1s", "received -1s"),
        (positive_seconds, "5 parsecs", "received 5 parsecs"),
        (positive_seconds, "inf", "received inf"),
        (byte_count, "8GB", "received 8GB, expected bytes"),
        (byte_count, "0B", "received 0B"),
        (share, "100%", "received 100%, expected a share"),
        (share, "-0.1", "received -0.1"),
    ],
)
def test_a_value_that_may_be_meant_in_two_ways_or_in_none_is_refused(
    parse: Callable[[str], float], text: str, words: str
) -> None:
    with pytest.raises(typer.BadParameter) as raised:
        parse(text)
    assert words in raised.value.format_message()


def test_a_long_latency_with_its_unit_is_taken() -> None:
    assert (latency_seconds("10s"), latency_seconds("200ms"), latency_seconds("9.9")) == (10, 0.2, 9.9)
