"""What stands beside a figure: processes, what disturbed them, the attained fraction, what an interval includes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboards import examples
from tests.dashboards.reading import figures, site_of, site_of_records, text_of
from xibench.record.schema import Case

CASE = Case(framework="pytorch", model="xception")
MEASURED = ("index", "latency", "startup", "memory", "energy", "costs")


def notes(site: Path, name: str = "index") -> str:
    return text_of(site / f"{name}.html")


def test_several_processes_are_counted_and_their_spread_is_said_to_be_in_the_intervals(tmp_path: Path) -> None:
    text = notes(site_of_records(tmp_path, examples.several(CASE, [0.5] * 10, [0.52] * 12, [0.51] * 11)))
    assert "n = 3 processes and 33 timed steps per case; 0 processes set aside and repeated, 0 failed" in text
    assert "they include the spread between processes" in text
    assert "leave out the spread between processes" not in text
    assert "Bars: geometric mean of the processes' medians" in text


def test_a_case_of_one_process_among_cases_of_several_is_said_to_leave_the_spread_out(tmp_path: Path) -> None:
    other = Case(framework="jax", model="xception")
    text = notes(site_of_records(tmp_path, examples.several(CASE), examples.ok(other)))
    assert "Those of cases with one process leave it out." in text


@pytest.mark.parametrize("name", MEASURED)
def test_every_table_of_measured_cases_states_attained_processes_set_aside_and_failed(
    thorough_site: Path, name: str
) -> None:
    assert "Attained Processes Set aside Failed Steps" in notes(thorough_site, name)


def test_set_aside_and_failed_processes_are_counted(tmp_path: Path) -> None:
    record = examples.fail(examples.repeat(examples.several(CASE), 0))
    site = site_of_records(tmp_path, record)
    assert "n = 2 processes and 60 timed steps per case; 1 process set aside and repeated, 1 failed" in notes(site)
    assert "2 1 1 60" in notes(site)  # the table's processes, set aside, failed, steps


def test_a_disturbed_process_is_marked_with_its_reason_wherever_its_case_stands(tmp_path: Path) -> None:
    site = site_of_records(tmp_path, examples.disturb(examples.several(CASE), 1))
    for name in ("index", "latency", "memory", "startup"):
        assert f"‡ PyTorch default on Xception: disturbed, {examples.BUSY}." in notes(site, name)
        assert "PyTorch‡" in figures(site / f"{name}.html")[0]["layout"]["yaxis"]["ticktext"]
    assert f"3 ◆ (disturbed: {examples.BUSY})" in notes(site)
    assert "disturbed" in figures(site / "index.html")[0]["data"][0]["customdata"][0]


def test_an_undisturbed_case_carries_no_mark(tmp_path: Path) -> None:
    text = notes(site_of_records(tmp_path, examples.several(CASE)))
    assert "‡" not in text
    assert "§" not in text


def test_many_disturbed_cases_are_summed_up_in_a_caption(tmp_path: Path) -> None:
    records = [examples.disturb(examples.several(case), 0) for case in examples.matrix()[:7]]
    text = notes(site_of_records(tmp_path, *records))
    assert text.count("others took 31 % of the usable cores while it ran (limit 5 %).") == 4
    assert "‡ 3 more cases with disturbed processes; see Settings, conditions." in text


def test_a_warm_up_that_was_cut_off_is_said(tmp_path: Path) -> None:
    record = examples.change(examples.several(CASE), 2, warmup_stopped_by="max_warmup_steps 50")
    text = notes(site_of_records(tmp_path, record))
    assert "§ Warm-up ended at a limit, before a trend test found the steps steady: PyTorch default on Xc" in text
    assert "warm-up was cut off in 1 of 3 processes" in text


def test_a_bar_carries_the_attained_fraction_and_the_caption_says_what_it_is(tmp_path: Path) -> None:
    record = examples.ok(CASE, [0.5] * 5)
    site = site_of_records(tmp_path, record)
    assert record.costs.attainable_s
    share = 100 * record.costs.attainable_s / 0.5
    for name in ("index", "latency", "costs"):
        texts = [t["text"][0] for f in figures(site / f"{name}.html") for t in f["data"] if t.get("mode") == "text"]
        assert any(f"· {share:.0f}\u00a0%" in text for text in texts), name
        assert "Attained: time at the roofline of this run's own ceilings (see Costs)" in notes(site, name)
    assert f"It attains {share:.1f}\u00a0% of its roofline." in (site / "index.html").read_text()


def test_an_interval_far_beyond_every_bar_is_cut_and_said_to_go_on(tmp_path: Path) -> None:
    site = site_of_records(tmp_path, examples.several(CASE, [0.1] * 9, [1.0] * 9))  # two processes far apart
    (figure,) = figures(site / "index.html")
    assert figure["layout"]["xaxis"]["range"][1] < 80  # the bar is at 25 images/s, its interval ends above 10,000
    assert figure["data"][-1]["text"][0].startswith(" ▸ 25.3")
    assert "lines: 95 % interval (▸: goes on beyond the drawing)" in notes(site)


def test_without_ceilings_there_is_no_attained_fraction_and_the_caption_says_why(tmp_path: Path) -> None:
    record = examples.without_ceilings(examples.ok(CASE))
    text = notes(site_of(tmp_path, examples.header([CASE]), [record]))
    assert "No attained fraction of the roofline: ceilings were switched off." in text
    assert "Percentages:" not in text


def test_settings_that_differ_between_the_processes_of_a_case_are_shown(tmp_path: Path) -> None:
    record = examples.several(CASE)
    made = record.attempts[1].process
    assert made
    record = examples.change(record, 1, settings=made.settings | {"threads": 1})
    site = site_of_records(tmp_path, record)
    assert "Unlike between processes of one case: threads." in notes(site)
    assert "Settings differ between the processes of PyTorch default on Xception" in notes(site)
    assert "PyTorch default, Xception threads 2, 1, 2" in notes(site, "settings")


def test_an_older_run_file_has_no_marks_that_it_could_not_know(reference_site: Path) -> None:
    text = notes(reference_site)
    assert "§" not in text
    assert "What else the machine did meanwhile was not recorded" in text
    assert "n = 1 process and 5 to 23 timed steps per case" in text
    assert "Format 1" in notes(reference_site, "settings")
