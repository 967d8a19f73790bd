from __future__ import annotations

import io

import pytest
from rich.table import Table

from tests.builders import failure, record, small_case
from xibench.analysis.verify import Caught, Check, Report
from xibench.cli import format
from xibench.measure.statistics import Interval
from xibench.record.summary import summarise


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


def test_axes_on_which_cases_differ_are_columns_and_the_others_stand_in_the_title() -> None:
    summaries = [summarise(record(small_case(batch=batch))) for batch in (1, 2)]
    shown = rendered(format.run_table(summaries, "ACME CPU"), width=160)
    assert shown.splitlines()[0].strip() == "ACME CPU, variant narrow, recipe default, fp32, 75 px, cpu"
    assert "batch" in shown.splitlines()[2]


@pytest.mark.parametrize("width", [56, 80])
def test_nothing_is_cut_off_in_a_narrow_terminal(width: int) -> None:
    records = [record(small_case("pytorch")), record(small_case("tensorflow")), failure(small_case("jax"))]
    summaries = [summarise(one) for one in records]
    narrow, wide = (rendered(format.run_table(summaries, "ACME CPU"), width=w) for w in (width, 160))
    assert max(map(len, narrow.splitlines())) <= width
    assert ink(narrow) == ink(wide)


def test_the_same_reason_is_said_once_for_all_its_cases() -> None:
    summaries = [summarise(failure(small_case(batch=batch), reason="no room")) for batch in (1, 2, 3, 4, 5)]
    (note,) = format.run_notes(summaries)
    assert note.startswith("failed: no room (pytorch xception/narrow")
    assert note.endswith("and 2 more)")


def test_a_broken_proof_names_the_worst_layer_and_the_mistake_that_went_unnoticed() -> None:
    fields = {"model": "xception", "precision": "fp64", "what": "inference at 71", "tolerance": 1e-12, "errors": {}}
    good = Check(left="jax", right="pytorch", max_relative_error=3e-15, ok=True, worst="block2", **fields)
    bad = Check(left="jax", right="tensorflow", max_relative_error=2e-3, ok=False, worst="block7.sepconv1", **fields)
    missed = Caught(
        mistake="epsilon", model="xception", framework="jax", max_relative_error=0.0, tolerance=1e-12, caught=False
    )
    report = Report(ok=False, checks=[good, bad], mistakes=[missed], skipped=[])
    shown = "\n".join(rendered(table, width=160) for table in format.verify_tables(report))
    assert "BROKEN" in shown
    assert "block7.sepconv1" in shown
    assert "3.0e-15" in shown
    assert "MISSED" in shown


def rendered(table: Table, width: int) -> str:
    output = io.StringIO()
    format.show(table, output, width)
    return output.getvalue()


def ink(text: str) -> list[str]:
    """All characters but spaces and rules, in alphabetical order: the same whatever lines are broken."""
    return sorted(c for c in text if not c.isspace() and c != "─")
