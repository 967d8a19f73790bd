from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.builders import append, header, measured, process, record, small_case
from tests.cli.command import error_of, xibench
from xibench.record.schema import Record
from xibench.record.store import RunFile, read

CASE, OTHER = small_case(), small_case("jax")
STEADY = [[0.1 + 0.0001 * n] * 3 for n in range(4)]


def run_file(path: Path, *records: Record) -> Path:
    with RunFile.create(path, header([r.case for r in records])) as made:
        append(made, *records)
    return path


def slowed(factor: float) -> list[Sequence[float]]:
    return [[step * factor for step in steps] for steps in STEADY]


def test_a_slower_case_ends_with_exit_code_3_and_the_json_counts_it(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY), record(OTHER, *STEADY))
    new = run_file(tmp_path / "b.jsonl", record(CASE, *slowed(1.1)), record(OTHER, *STEADY))
    done = xibench("compare", base, new, "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 3
    assert found["slower"] == 1
    assert [pair["verdict"] for pair in found["pairs"]] == ["slower", "same"]
    assert {"case", "ratio", "low", "high", "verdict"} <= set(found["pairs"][0])
    assert found["pairs"][0]["low"] < 1.1 < found["pairs"][0]["high"]


def test_a_faster_run_ends_with_exit_code_0_and_the_table_shows_the_change(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    new = run_file(tmp_path / "b.jsonl", record(CASE, *slowed(0.5)))
    done = xibench("compare", base, new, cwd=tmp_path)
    assert done.returncode == 0
    assert "faster" in done.stdout
    assert "-50.0 %" in done.stdout
    assert "xibench ab" in done.stdout, "what would be sharper"


def test_cases_with_different_settings_are_compared_only_on_request(tmp_path: Path) -> None:
    one_thread = [msgspec.structs.replace(process(steps), settings={"threads": 1}) for steps in STEADY]
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    new = run_file(tmp_path / "b.jsonl", measured(CASE, *one_thread))
    refused = xibench("compare", base, new, cwd=tmp_path)
    assert refused.returncode == 1
    assert "not compared: threads 2 -> 1" in refused.stdout
    assert refused.stderr.strip() == "xibench: nothing was compared: the reasons are above"
    asked = xibench("compare", base, new, "--allow-unlike", cwd=tmp_path)
    assert asked.returncode == 0
    assert "not like for like: threads 2 -> 1" in asked.stdout


def test_the_sides_are_named_as_typed_and_the_ratio_says_of_what_it_is(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    new = run_file(tmp_path / "b.jsonl", record(CASE, *slowed(1.1)))
    ids = [read(path).header.run_id for path in (base, new)]
    for options in ((), ("--markdown",)):
        shown = " ".join(xibench("compare", "a.jsonl", "b.jsonl", *options, cwd=tmp_path).stdout.split())
        assert "Ratios of step times (above 1: the new side is slower)" in shown
        assert "b.jsonl against a.jsonl" in shown.replace("`", "")
        assert not any(one in shown for one in ids)


def test_where_nothing_is_compared_there_is_no_empty_table(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    new = run_file(tmp_path / "b.jsonl", record(OTHER, *STEADY))
    assert "verdict" not in xibench("compare", base, new, cwd=tmp_path).stdout


def test_markdown_is_a_comment_whose_first_line_is_the_verdict(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    new = run_file(tmp_path / "b.jsonl", record(CASE, *slowed(1.1)))
    done = xibench("compare", base, new, "--markdown", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == "### xibench: 1 slower"
    rows = [line for line in lines if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1, "every row has as many cells as the head"
    assert "1.100" in rows[2]
    assert done.returncode == 3


def test_two_output_formats_are_refused(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.jsonl", record(CASE, *STEADY))
    line = error_of("compare", base, base, "--json", "--markdown", cwd=tmp_path, code=2)
    assert "--json and --markdown" in line


def test_a_missing_run_file_is_named_by_compare(tmp_path: Path) -> None:
    line = error_of("compare", "nowhere.jsonl", "nowhere.jsonl", cwd=tmp_path, code=2)
    assert "nowhere.jsonl does not exist" in line


def test_a_threshold_that_is_not_a_share_is_refused(tmp_path: Path) -> None:
    line = error_of("compare", "a", "b", "--threshold", "two", cwd=tmp_path, code=2)
    assert "two" in line
