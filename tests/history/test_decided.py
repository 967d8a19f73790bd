"""What was confirmed, noted and taken back appears in every output of `xibench history`, and in its exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from tests.cli.command import error_of, xibench
from tests.history.test_history import COMMITS, asv_folder
from xibench.history import confirm as confirmation
from xibench.history import levels, report
from xibench.history.confirm import Confirmation, Confirmations, Outcome, Ratio
from xibench.history.notes import Note
from xibench.history.series import Key, Point, Series, Subject

KEY = Key("vm", "step.time_step(0)", "asv jax")
ATOM = "{http://www.w3.org/2005/Atom}"


def nights(*steps: tuple[int, float], count: int = 6, length: int = 40) -> list[list[float]]:
    """Return series of nights at 1 % noise, of which the first changes by factors from some nights on."""
    values = np.random.default_rng(1).normal(0, 0.01, (count, length))
    for first, factor in steps:
        values[0, first:] += np.log(factor)
    return list((np.exp(values) / 10).tolist())


def confirmed(folder: Path, first: int, outcome: Outcome = "confirmed", ratio: float = 1.1, **fields: Any) -> None:
    """Write what measuring again said of the change with a night."""
    found = Ratio("slower" if ratio > 1 else "faster", ratio, ratio - 0.02, ratio + 0.02, 6)
    Confirmations(folder / "results" / "confirmations.jsonl").append(Confirmation(
        key=KEY, before=COMMITS[first - 1], first=COMMITS[first], outcome=outcome, found=found, commit=COMMITS[first],
        suspects=(COMMITS[first],), **fields,
    ))  # fmt: skip


def changes(folder: Path, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    done = xibench("history", "asv", "--json", *arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    return [change for each in json.loads(done.stdout)["series"] for change in each["changes"]]


@pytest.mark.parametrize(
    ("outcome", "code"), [("confirmed", 3), ("undecided", 4), ("withdrawn", 0)],
)  # fmt: skip
def test_the_outcome_is_the_state_and_the_exit_code(tmp_path: Path, outcome: Outcome, code: int) -> None:
    asv_folder(tmp_path / "asv", nights((20, 1.1)))
    confirmed(tmp_path, 20, outcome)
    [change] = changes(tmp_path, code=code)
    assert change["state"] == outcome
    shown = xibench("history", "asv", cwd=tmp_path)
    assert shown.returncode == code
    assert f"1 {outcome}" in shown.stdout
    assert "1.100 [1.080, 1.120]" in " ".join(shown.stdout.split())


def test_only_what_is_undecided_is_measured_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asv_folder(tmp_path / "asv", nights((20, 1.1)))
    subject = Subject(framework="jax", model="xception", batch=1)
    series = [msgspec.structs.replace(each, subject=subject) for each in report.read([tmp_path / "asv"])]
    monkeypatch.setattr(confirmation, "changing_commits", lambda before, first: [first])
    asked = []

    def compare(_: Subject, before: str, first: str) -> Ratio:
        asked.append((before, first))
        return Ratio("unsure" if len(asked) == 1 else "slower", 1.1, 1.0, 1.2, 6)

    known = Confirmations(tmp_path / "confirmations.jsonl")
    for state in ("undecided", "confirmed", "confirmed"):
        report.confirm_changes(report.remembered(report.judge(series), known), known, compare, print)
        found = report.remembered(report.judge(series), Confirmations(known.path))
        assert [change.state for each in found.series for change in each.changes] == [state]
    assert asked == 2 * [(COMMITS[19], COMMITS[20])]

    muted = [Note(commit=COMMITS[20], text="accepted", mute=True)]
    unknown = Confirmations(tmp_path / "none.jsonl")
    report.confirm_changes(report.remembered(report.judge(series), unknown, muted), unknown, compare, print)
    assert len(asked) == 2


def test_a_candidate_is_no_failure_until_it_is_confirmed(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((20, 1.1)))
    assert [change["state"] for change in changes(tmp_path)] == ["candidate"]


def test_an_improvement_is_no_failure(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((20, 0.9)))
    confirmed(tmp_path, 20, ratio=0.9)
    assert [change["state"] for change in changes(tmp_path)] == ["confirmed"]


def test_a_regression_that_a_later_commit_took_back_is_fixed_by_it(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((14, 1.1), (27, 1 / 1.1)))
    confirmed(tmp_path, 14)
    slower, faster = changes(tmp_path)
    assert (slower["state"], slower["fixed_by"]) == ("fixed", COMMITS[27])
    assert faster["fixed_by"] is None
    assert f"fixed by {COMMITS[27][:10]}" in " ".join(xibench("history", "asv", cwd=tmp_path).stdout.split())


def test_a_return_that_measuring_again_did_not_find_fixes_nothing(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((14, 1.1), (27, 1 / 1.07)))
    confirmed(tmp_path, 14, ratio=1.06)
    assert [change["state"] for change in changes(tmp_path)] == ["fixed", "candidate"]
    confirmed(tmp_path, 27, "withdrawn", ratio=0.94)
    assert [change["state"] for change in changes(tmp_path, code=3)] == ["confirmed", "withdrawn"]


def test_what_is_left_of_a_regression_is_judged_by_what_measuring_again_found(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((14, 1.2), (27, 1 / 1.06)))
    confirmed(tmp_path, 14, ratio=1.05)
    assert [change["state"] for change in changes(tmp_path)] == ["fixed", "candidate"]


def test_a_regression_that_was_taken_back_in_part_stays(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((14, 1.2), (27, 1 / 1.07)))
    confirmed(tmp_path, 14)
    assert [change["state"] for change in changes(tmp_path, code=3)] == ["confirmed", "candidate"]


def test_a_note_explains_and_mutes(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((20, 1.1)))
    confirmed(tmp_path, 20)
    notes = tmp_path / "results" / "notes.toml"
    text = f'[[note]]\ncommit = "{COMMITS[20][:30]}"\nseries = "step.*(0)"\ntext = "the price of exactness"\n'
    notes.write_text(text)
    [change] = changes(tmp_path, code=3)
    assert (change["note"], change["muted"]) == ("the price of exactness", False)
    notes.write_text(text + "mute = true\n")
    [change] = changes(tmp_path)
    assert (change["state"], change["muted"]) == ("confirmed", True)
    assert "the price of exactness (muted)" in xibench("history", "asv", cwd=tmp_path).stdout
    notes.write_text(text.replace("step.*(0)", "step.*(1)"))
    assert [change["note"] for change in changes(tmp_path, code=3)] == [None]


@pytest.mark.parametrize(
    "content", ["[[note]]\ntext = 'no commit'", "[[note]]\ncommit = 'abc'\ntext = ''", "[note", "[[note]]\ncolour = 1",
                "\xff"],
)  # fmt: skip
def test_notes_of_another_form_are_one_line(tmp_path: Path, content: str) -> None:
    asv_folder(tmp_path / "asv", nights())
    (tmp_path / "notes.toml").write_bytes(content.encode("latin-1"))
    assert "notes.toml" in error_of("history", "asv", "--notes", "notes.toml", cwd=tmp_path, code=2)


def test_markdown_has_a_row_per_change_and_the_sentence(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((20, 1.1)))
    confirmed(tmp_path, 20)
    lines = xibench("history", "asv", "--markdown", cwd=tmp_path).stdout.splitlines()
    assert lines[0].startswith("6 series, 0 changes to confirm, 1 confirmed")
    [row] = [line for line in lines if line.startswith("| confirmed: step.time_step(0)")]
    assert row.count("|") == lines[2].count("|")
    assert COMMITS[20][:10] in row


def test_the_feed_has_an_entry_per_change_whose_id_outlives_its_state(tmp_path: Path) -> None:
    asv_folder(tmp_path / "asv", nights((14, 1.1), (27, 1 / 1.1)))

    def entries() -> list[tuple[str, str]]:
        xibench("history", "asv", "--atom", "site/history.xml", cwd=tmp_path)
        feed = ElementTree.parse(tmp_path / "site" / "history.xml").getroot()
        assert feed.tag == f"{ATOM}feed"
        for element in (feed, *feed.iter(f"{ATOM}entry")):  # what RFC 4287 requires
            for name in ("id", "title", "updated"):
                assert element.findtext(f"{ATOM}{name}")
        assert feed.findtext(f"{ATOM}author/{ATOM}name")
        found = feed.iter(f"{ATOM}entry")
        return [(str(e.findtext(f"{ATOM}id")), str(e.findtext(f"{ATOM}title"))) for e in found]

    before = entries()
    assert len({identifier for identifier, _ in before}) == 2
    confirmed(tmp_path, 14)
    after = entries()
    assert [identifier for identifier, _ in after] == [identifier for identifier, _ in before]
    assert [title.split(":")[0] for _, title in after] == ["known state", "fixed"]


def point(value: float, night: int, half: float = 0.01) -> Point:
    return Point(
        value=value, low=value * (1 - half), high=value * (1 + half), commit=COMMITS[night], measured=float(night),
        source="asv",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "firsts"),
    [
        ([1.0, 1.0, 1.1, 1.1, 1.1, 1.0, 1.0, 1.0], [2, 5]),
        ([1.0, 1.02, 0.99, 1.01, 1.0, 0.98], []),
        (5 * [1.0] + 5 * [1.025], []),
        ([1.0, 1.0, 1.0, 1.1], [3]),
        ([1.0, 0.9], [1]),
        ([1.0], []),
    ],
)
def test_a_short_series_is_suspected_where_its_level_changes(values: Sequence[float], firsts: Sequence[int]) -> None:
    points = [point(value, night) for night, value in enumerate(values)]
    assert [step.first for step in levels.steps(points)] == list(firsts)


def test_wide_intervals_and_none_at_all_are_no_suspicion() -> None:
    values = [1.0, 1.0, 1.0, 1.1, 1.1]
    assert not levels.steps([point(value, night, half=0.3) for night, value in enumerate(values)])
    bare = [Point(value=value, measured=float(night), source="x") for night, value in enumerate(values)]
    assert not levels.steps(bare)


def test_the_change_of_a_short_series_is_suspected_with_its_size_and_the_commits_around_it() -> None:
    points = tuple(point(value, night) for night, value in enumerate([1.0, 1.0, 1.0, 1.1, 1.1]))
    [judged] = report.judge([Series(KEY, "seconds", points)]).series
    [change] = judged.changes
    assert (change.state, change.before, change.first) == ("suspected", points[2], points[3])
    assert change.ratio == pytest.approx(1.1)
    assert change.around == (COMMITS[1], COMMITS[4])
