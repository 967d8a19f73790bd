from __future__ import annotations

import msgspec
import pytest

from tests.builders import small_case
from tests.cli.rendering import rendered
from xibench.cli.render import terminal


def test_a_case_is_named_by_its_options_and_its_scenario_unless_it_is_offline() -> None:
    case = small_case()
    assert terminal.case_name(case) == "pytorch xception/narrow default fp32 batch 1 75 px cpu"
    assert terminal.case_name(msgspec.structs.replace(case, scenario="server")).endswith("75 px cpu server")


@pytest.mark.parametrize("width", [24, 160])
def test_a_table_that_fits_easily_looks_like_one_that_just_fits(width: int) -> None:
    columns, right = ("thing", "images/s\n[95 %]", "note"), ("images/s\n[95 %]",)
    table = terminal.table_of("Things", columns, [("日本", "1.0", "short"), ("b", "10.25", "")], right)
    lines = rendered(table, width).splitlines()
    assert [line.rstrip() for line in lines[:-1]] == [
        "Things",
        "       images/s",
        "thing    [95 %]  note",
        "─" * 23,
        "日本        1.0  short",
        "b         10.25",
    ]


def test_no_line_of_a_table_that_fits_is_broken_or_cut_off() -> None:
    cells = ["x" * 78, "y " * 39]
    assert rendered(terminal.table_of("t " * 100, ("a", "b"), [cells])).splitlines()[:-1] == [
        "t " * 100, f"a{' ' * 79}b", "─" * 159, "  ".join(cells).rstrip(),
    ]  # fmt: skip
