"""The comparison with golden files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import golden as golden_
from tests.golden.golden import COMMAND, Golden, differences


def test_a_difference_is_named_by_its_path_with_both_values() -> None:
    kept = {"records": [{"step_s": 0.1, "status": "ok"}], "file": "a"}
    found = {"records": [{"step_s": 0.2, "status": "ok"}, {}], "path": "a"}
    assert list(differences(kept, found)) == [
        "document: keys gone ['file'], new ['path']", "records: 1 elements -> 2", "records[0].step_s: 0.1 -> 0.2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kept", "found", "same"),
    [
        (0.1, 0.1 * (1 + 1e-15), True), (0.1, 0.1 * (1 + 1e-9), False), (1, True, False), (1, 1.0, False),
        (None, 0.0, False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
    ],
)  # fmt: skip
def test_only_the_last_digit_of_numbers_may_differ(kept: object, found: object, same: bool) -> None:
    assert (list(differences(kept, found)) == []) is same


def test_a_failure_reports_the_line_and_how_to_regenerate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_, "FOLDER", tmp_path / "tests" / "golden" / "files")
    with pytest.raises(AssertionError, match=COMMAND):
        Golden(regenerate=False).text("a.csv", "x,1.0\n")
    Golden(regenerate=True).text("a.csv", "x,1.0\n")
    Golden(regenerate=False).text("a.csv", "x,1.0000000000000002\n")
    with pytest.raises(AssertionError, match=r"line 1: 'x,1.0'\n +-> 'x,2.0'"):
        Golden(regenerate=False).text("a.csv", "x,2.0\n")
