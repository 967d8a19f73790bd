from __future__ import annotations

import io

import msgspec

from tests.builders import small_case
from tests.cli.rendering import rendered
from xibench.cli.render import terminal


def test_a_case_is_named_by_its_options_and_its_scenario_unless_it_is_offline() -> None:
    case = small_case()
    assert terminal.case_name(case) == "pytorch xception/narrow default fp32 batch 1 75 px cpu"
    assert terminal.case_name(msgspec.structs.replace(case, scenario="server")).endswith("75 px cpu server")


def test_a_table_that_fits_looks_as_rich_lays_it_out() -> None:
    columns, right = ("thing", "images/s\n[95 %]", "note"), ("images/s\n[95 %]",)
    table = terminal.table_of("Things", columns, [("日本", "1.0", "short"), ("b", "10.25", "")], right)
    lines = [
        "Things",
        "       images/s",
        "thing    [95 %]  note",
        "─" * 23,
        "日本        1.0  short",
        "b         10.25",
    ]
    assert rendered(table).splitlines()[:-1] == lines
    by_rich = io.StringIO()
    terminal._print_broken(table, [5, 8, 5], terminal.console(by_rich, 160))
    assert [line.rstrip() for line in by_rich.getvalue().splitlines()] == lines


def test_no_line_of_a_table_that_fits_is_broken_or_cut_off() -> None:
    cells = ["x" * 78, "y " * 39]
    assert rendered(terminal.table_of("t " * 100, ("a", "b"), [cells])).splitlines()[:-1] == [
        "t " * 100, f"a{' ' * 79}b", "─" * 159, "  ".join(cells).rstrip(),
    ]  # fmt: skip
