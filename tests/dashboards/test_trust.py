"""Annotations of figures: sample counts, disturbances, attained fractions, and the scope of intervals."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards import captions as made
from dashboards import trust
from dashboards.charts import HOLLOW
from dashboards.content import MAX_NAMED
from dashboards.runs import load
from dashboards.site import Site
from tests.dashboards import examples
from tests.dashboards.reading import (
    Pages,
    blocks,
    captions,
    charts,
    marks,
    pages_of_records,
    pages_of_run,
    prose,
    rows,
    tables,
    takeaways,
)
from xibench.record.schema import Case, Record

CASE = Case(framework="pytorch", model="xception")
MEASURED = ("index", "latency", "startup", "memory", "energy", "costs")
COUNTS = ("Processes", "Superseded", "Failed", "Steps")


def caption_of(folder: Path, *records: Record) -> tuple[str, ...]:
    """The caption of all measured cases of a run."""
    path = examples.write(folder / "run.jsonl", examples.header([r.case for r in records]), records)
    (group,) = Site((load(path),)).groups()
    return tuple(map(str, made.measured(group)))


def test_several_processes_are_counted(tmp_path: Path) -> None:
    record = examples.several(CASE, [0.5] * 10, [0.52] * 12, [0.51] * 11)
    assert any("n = 3 processes and 33 timed steps per case" in line for line in caption_of(tmp_path, record))
    assert rows(pages_of_records(tmp_path, record)["index"], *COUNTS) == [("3", "0", "0", "33")]


def test_the_note_on_intervals_depends_on_whether_they_include_the_spread_between_processes(tmp_path: Path) -> None:
    other = Case(framework="jax", model="xception")
    notes = [
        caption_of(tmp_path / str(number), *records)[-1]
        for number, records in enumerate((
            [examples.several(CASE)], [examples.ok(CASE)], [examples.several(CASE), examples.ok(other)],
        ))
    ]  # fmt: skip
    several, one, mixed = notes
    assert len(set(notes)) == 3
    assert mixed.startswith(several)
    assert "exclude" in one
    assert "exclude" not in several


@pytest.mark.parametrize("name", MEASURED)
def test_every_table_of_measured_cases_states_the_attained_fraction_and_counts_of_processes(
    thorough: Pages, name: str
) -> None:
    found = [table for table in tables(thorough[name]) if {"Framework", "Recipe"} <= set(table.columns)]
    assert found
    assert all(set(trust.COLUMNS) <= set(table.columns) for table in found)


def test_superseded_and_failed_processes_are_counted(tmp_path: Path) -> None:
    record = examples.fail(examples.repeat(examples.several(CASE), 0))
    assert rows(pages_of_records(tmp_path, record)["index"], *COUNTS) == [("2", "1", "1", "60")]
    assert any("1 process disturbed and superseded, 1 failed" in line for line in caption_of(tmp_path, record))


def test_a_disturbed_process_is_marked_with_its_reason_wherever_its_case_is_shown(tmp_path: Path) -> None:
    pages = pages_of_records(tmp_path, examples.disturb(examples.several(CASE), 1))
    for name in ("index", "latency", "memory", "startup"):
        assert any(line.startswith("‡") and examples.BUSY in line for line in captions(pages[name])), name
        assert "PyTorch‡" in charts(pages[name])[0]["layout"]["yaxis"]["ticktext"]
    ((text, why),) = [(cell.text, cell.why) for cell in marks(pages["index"])]
    assert text == "3"
    assert why.startswith(f"disturbed: {examples.BUSY}")
    assert "disturbed" in charts(pages["index"])[0]["data"][0]["customdata"][0]


def test_an_undisturbed_case_has_no_mark(tmp_path: Path) -> None:
    page = pages_of_records(tmp_path, examples.several(CASE))["index"]
    assert not [line for line in captions(page) if line[0] in "†‡§¶"]
    assert marks(page) == []


def test_many_disturbed_cases_are_summed_up_in_a_caption(tmp_path: Path) -> None:
    records = [examples.disturb(examples.several(case), 0) for case in examples.matrix()[:7]]
    (note,) = [line for line in caption_of(tmp_path, *records) if line.startswith("‡")]
    assert note.count(examples.BUSY) == MAX_NAMED
    assert note.endswith("; 1 more.")


def test_a_warm_up_that_reached_its_limit_is_marked(tmp_path: Path) -> None:
    record = examples.change(examples.several(CASE), 2, warmup_stopped_by="max_warmup_steps 50")
    page = pages_of_records(tmp_path, record)["index"]
    (note,) = [line for line in captions(page) if line.startswith("§")]
    assert "PyTorch default on Xception" in note
    (mark,) = marks(page)
    assert "1 of 3 processes" in mark.why


def test_a_bar_shows_the_attained_fraction_and_the_caption_explains_it(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 5)
    pages = pages_of_records(tmp_path, record)
    assert record.costs.attainable_s
    share = 100 * record.costs.attainable_s / 0.5
    for name in ("index", "latency", "costs"):
        texts = [t["text"][0] for f in charts(pages[name]) for t in f["data"] if t.get("mode") == "text"]
        assert any(f"· {share:.0f}\u00a0%" in text for text in texts), name
        assert any(line.startswith("Attained:") for line in captions(pages[name]))
    assert f"{share:.1f}\u00a0%" in takeaways(pages["index"])[0]
    assert rows(pages["index"], "Attained") == [(f"{share:.1f}\u00a0%",)]


def test_an_interval_far_beyond_every_bar_is_cut_and_marked_so(tmp_path: Path) -> None:
    record = examples.several(CASE, [0.1] * 9, [1.0] * 9)  # two processes far apart
    page = pages_of_records(tmp_path, record)["index"]
    (figure,) = charts(page)
    assert figure["layout"]["xaxis"]["range"][1] < 80  # the bar is at 25 images/s, its interval ends above 10,000
    assert figure["data"][-1]["text"][0].startswith(" ▸ 25.3")
    assert "▸" in str(blocks(page)[0].caption[0])


def test_without_ceilings_there_is_no_attained_fraction_and_the_caption_says_why(tmp_path: Path) -> None:
    record = examples.without_ceilings(examples.ok(CASE))
    page = pages_of_run(tmp_path, examples.header([CASE]), [record])["index"]
    assert any(line.endswith("roofline: ceilings were switched off.") for line in captions(page))
    assert not any(line.startswith("Attained:") for line in captions(page))
    assert rows(page, "Attained") == [("–",)]


def test_settings_that_differ_between_the_processes_of_a_case_are_shown(tmp_path: Path) -> None:
    record = examples.several(CASE)
    process = record.attempts[1].process
    assert process
    pages = pages_of_records(tmp_path, examples.change(record, 1, settings=process.settings | {"threads": 1}))
    assert any(line.startswith("Settings that differ between processes") for line in prose(pages["index"]))
    assert any("threads" in line for line in prose(pages["index"]))
    (note,) = [line for line in captions(pages["index"]) if line.startswith("Settings differ between the processes")]
    assert "PyTorch default" in note
    assert rows(pages["settings"], "Case", "Setting", "Values, process by process") == [
        ("PyTorch default, Xception", "threads", "2, 1, 2")
    ]


def test_an_older_run_file_has_no_marks_that_it_could_not_know(reference: Pages) -> None:
    lines = captions(reference["index"])
    assert not [line for line in lines if line.startswith("§")]
    assert any("does not record the load of other programs" in line for line in lines)
    assert any("n = 1 process and 5 to 23 timed steps per case" in line for line in lines)


def test_a_figure_that_is_not_ranked_is_a_hollow_bar_in_parentheses_with_a_legend(tmp_path: Path) -> None:
    other = Case(framework="jax", model="xception")
    pages = pages_of_records(tmp_path, examples.disturb(examples.several(CASE), 1), examples.several(other))
    for name, title in (
        ("index", "Images per second"), ("latency", "Time per step"), ("costs", "Achieved floating-point rate"),
        ("startup", "Time to the first result"),
    ):  # fmt: skip
        (chart,) = next(block for block in blocks(pages[name]) if block.title == title).charts
        bars = [trace["marker"]["color"] for trace in chart.figure["data"] if trace["type"] == "bar"]
        colours = {colour for shown in bars for colour in ([shown] if isinstance(shown, str) else shown)}
        assert HOLLOW in colours, name
        assert colours != {HOLLOW}, name
        (texts,) = [trace["text"] for trace in chart.figure["data"] if trace.get("mode") == "text"]
        assert [text.strip().startswith("(") for text in texts] == [True, False], name
        assert any(key.symbol == "hollow-bar" and "( )" in key.name for key in chart.legend), name
    (memory,) = blocks(pages["memory"])[0].charts  # sizes do not depend on the load of the cores
    assert not [key for key in memory.legend if key.symbol == "hollow-bar"]
    assert HOLLOW not in str(memory.figure["data"])
    assert any(line.startswith("( ) in parentheses") for line in captions(pages["index"]))
