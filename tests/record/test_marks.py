"""The registry of marks, and that tables, pages, documents and ASCII output use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dashboards.content import Note
from dashboards.headline import headline
from dashboards.runs import load
from tests.builders import attempt, process, resampled, small_case
from tests.dashboards import examples
from tests.dashboards.reading import captions, charts, pages_of_files
from xibench.cli.app import IN_ASCII
from xibench.cli.render.run_tables import print_run
from xibench.record.marks import BRACKETED, MARKS, SUBSTITUTED, Mark, marks_of
from xibench.record.schema import Case, Record, Substitution
from xibench.record.store import read
from xibench.record.summary import summarise

ROOT = Path(__file__).parents[2]
OF_CASES = [mark for mark in MARKS if mark.applies]
CASE = Case(framework="pytorch", model="xception")


def documented(document: str) -> Iterator[tuple[str, ...]]:
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] in {mark.symbol for mark in MARKS}:
            yield tuple(cells)


def test_docs_method_lists_every_mark_with_its_ascii_form_and_meaning() -> None:
    assert list(documented("docs/method.md")) == [(mark.symbol, f"`{mark.ascii}`", mark.meaning) for mark in MARKS]


def test_the_readme_explains_the_marks_of_cases_as_the_registry_does() -> None:
    assert list(documented("README.md")) == [(mark.symbol, mark.meaning) for mark in OF_CASES]


def test_marks_can_be_told_apart_also_in_ascii() -> None:
    assert len({mark.symbol for mark in MARKS}) == len({mark.ascii for mark in MARKS}) == len(MARKS)
    assert all(mark.ascii.isascii() and IN_ASCII[mark.symbol] == mark.ascii for mark in MARKS)


def with_mark(mark: Mark) -> Record:
    """Return a record that has this mark of a case and, except that brackets are a disturbance too, no other."""
    record = examples.several(CASE)
    instead = Substitution(wanted="inductor", why="no C++ compiler", ran="eager")
    match mark.symbol:
        case "†":
            return examples.several(CASE, substitutions=[instead])
        case "‡":
            busy = msgspec.structs.replace(examples.surroundings(), others_share=0.09, disturbed=["others took 9 %"])
            attempts = [msgspec.structs.replace(a, surroundings=busy) for a in record.attempts]
            return msgspec.structs.replace(record, attempts=attempts)
        case "§":
            return examples.change(record, 0, warmup_stopped_by="max_warmup_steps 50")
        case "¶":
            return examples.change(record, 0, stopped_by="time_limit_s 60")
        case "( )":
            return examples.disturb(record, 0)
    raise AssertionError(f"no record for {mark.symbol}")


@pytest.mark.parametrize("mark", OF_CASES, ids=lambda mark: mark.symbol)
def test_a_mark_is_shown_and_explained_in_the_terminal_on_the_site_and_in_documents(
    mark: Mark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = with_mark(mark)
    path = examples.write(tmp_path / "run.jsonl", examples.header([CASE]), [record], examples.calibration())
    print_run(path, read(path))
    page = pages_of_files(path)["index"]
    shown = capsys.readouterr().out, *charts(page)[0]["layout"]["yaxis"]["ticktext"], headline(load(path))
    notes = [
        [line for line in text if line.startswith(mark.symbol)]
        for text in (shown[0].splitlines(), captions(page), shown[-1].splitlines())
    ]
    assert [len(lines) for lines in notes] == [1, 1, 1], notes
    if mark is BRACKETED:
        figure = r"\(\d[\d.]* \[[\d.]+, [\d.]+\]"
        assert re.search(figure, shown[0])
        assert re.search(figure, shown[-1])
    else:
        assert re.search(rf"ok {mark.symbol}", shown[0])
        assert all(mark.symbol in text for text in shown)
    if mark.symbol not in "†‡":  # whose notes say what ran, and what disturbed
        assert all(mark.meaning.casefold() in lines[0].casefold() for lines in notes)


def test_a_case_with_every_mark_has_them_in_the_order_of_the_registry() -> None:
    instead = Substitution(wanted="inductor", why="no C++ compiler", ran="eager")
    strange = resampled(
        msgspec.structs.replace(process(), substitutions=[instead]), warmup_stopped_by="max_warmup_steps 50",
        stopped_by="time_limit_s 60",
    )  # fmt: skip
    disturbed = attempt(small_case(), disturbed=["others took 9 %"], made=strange, others_share=0.09)
    assert marks_of(summarise(Record(case=small_case(), attempts=[disturbed]))) == "† ‡ § ¶"


def test_equal_notes_of_a_page_are_shown_once_with_all_their_cases(tmp_path: Path) -> None:
    other = Case(framework="jax", model="xception", scenario="single-stream", batch=1)
    instead = [Substitution(wanted="a", why="b", ran="c")]
    records = [examples.several(case, substitutions=instead) for case in (CASE, other)]
    path = examples.write(tmp_path / "run.jsonl", examples.header([CASE, other]), records)
    (note,) = [line for line in captions(pages_of_files(path)["latency"]) if line.startswith(SUBSTITUTED.symbol)]
    cases = ("PyTorch default on Xception at batch 8", "JAX default on Xception, single-stream")
    assert note == str(Note("† requested a, ran c instead: b", cases))
