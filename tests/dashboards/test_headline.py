"""The headline table, from run files to the text between the markers of the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dashboards.headline import BEGIN, END, embed, headline, main
from dashboards.runs import load
from tests.dashboards.examples import header, ok, refused, thorough, varied, without_ceilings, write
from xibench.errors import InputError
from xibench.record.schema import Case, Record, Substitution

STEADY = [0.5] * 6  # 16 images/s at batch 8


def text_of(path: Path, *records: Record, plan: Sequence[Case] | None = None) -> str:
    return headline(load(write(path / "run.jsonl", header(plan or [r.case for r in records]), records)))


def test_a_cell_is_the_median_throughput_with_its_interval_under_its_framework(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        without_ceilings(ok(Case(framework="pytorch", model="xception"), STEADY)),
        without_ceilings(ok(Case(framework="jax", model="xception"), [2.0, 1.0, 4.0])),
    )
    assert "| network | recipe | PyTorch | JAX |" in text
    assert "| Xception, 299 px | default | 16.0 [16.0, 16.0] | 4.00 [0.620, 25.8] |" in text
    assert "Inference, batch 8, fp32, CPU: images per second, median [95 % interval]" in text


def test_the_text_states_hardware_versions_n_date_and_the_scope_of_the_intervals(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        ok(Case(framework="pytorch", model="xception"), STEADY),
        ok(Case(framework="tensorflow", model="xception"), [0.5] * 9),
    )
    for part in (
        "Example CPU 9000", "2 cores", "8.0 GiB", "no GPU", "torch 2.13.0+cpu", "tensorflow 2.21.0", "n = 6 to 9 steps",
        "in one process per case", "exclude the spread between processes", "2026-01-01",
        "a78e7ac2bf5648e5984d4cf8b3bea3d8",
    ):
        assert part in text


def test_a_case_without_a_figure_shows_its_status_and_one_that_was_not_run_a_dash(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        refused(Case(framework="pytorch", model="xception"), "unsupported", "pytorch: not installed"),
        without_ceilings(ok(Case(framework="jax", model="xception"), STEADY)),
        without_ceilings(ok(Case(framework="jax", model="xception", recipe="tuned"), STEADY)),
    )
    assert "| Xception, 299 px | default | unsupported | 16.0 [16.0, 16.0] |" in text
    assert "| Xception, 299 px | tuned | – | 16.0 [16.0, 16.0] |" in text


def test_substitutions_are_marked_and_explained(tmp_path: Path) -> None:
    instead = Substitution(wanted="torch.compile", why="no C++ compiler was found", ran="eager")
    record = ok(Case(framework="pytorch", model="xception", recipe="compiled"), STEADY, substitutions=[instead])
    text = text_of(tmp_path, without_ceilings(record))
    assert "16.0 [16.0, 16.0]†" in text
    assert "† PyTorch, compiled: requested torch.compile, ran eager instead: no C++ compiler was found." in text


def test_groups_of_different_settings_have_separate_tables(tmp_path: Path) -> None:
    head, records = varied()
    text = headline(load(write(tmp_path / "run.jsonl", head, records)))
    assert text.count("| network | recipe |") == 2
    assert "Inference, batch 8, bf16, CPU" in text


def test_a_run_of_several_processes_states_them_and_what_its_intervals_include(tmp_path: Path) -> None:
    text = headline(load(write(tmp_path / "run.jsonl", *thorough())))
    assert "images per second, geometric mean of the processes' medians [95 % interval], attained fraction" in text
    assert "n = 2 to 3 processes per case, 30 steps in each: the intervals include the spread" in text
    assert "superseded: 1; failed: 1." in text
    notes = {line[0]: line for line in text.splitlines() if line[:1] in ("‡", "§")}
    assert notes["‡"].endswith(": PyTorch default on Xception.")
    assert notes["§"].endswith(": PyTorch tuned on Xception.")
    assert "single-stream" not in text


def test_a_figure_is_followed_by_the_attained_fraction_of_the_roofline(tmp_path: Path) -> None:
    case = Case(framework="pytorch", model="xception")
    record = ok(case, STEADY)
    assert record.costs.attainable_s
    share = 100 * record.costs.attainable_s / 0.5
    assert f"16.0 [16.0, 16.0], {share:.1f}\u00a0%" in text_of(tmp_path, record)


def test_a_run_without_a_record_says_so(tmp_path: Path) -> None:
    text = text_of(tmp_path, plan=[Case(framework="jax", model="xception")])
    assert text.startswith("No case of this run has finished yet.")


def test_only_the_text_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert embed(document, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert embed(embed(document, "new"), "new") == embed(document, "new")


@pytest.mark.parametrize("document", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN}"])
def test_a_document_without_the_markers_is_refused(document: str) -> None:
    with pytest.raises(InputError, match="expected one <!-- headline:begin --> and, after it, one"):
        embed(document, "new")


def test_the_command_writes_the_document_and_reports_trouble_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write(tmp_path / "run.jsonl", header([]), [ok(Case(framework="jax", model="xception"), STEADY)])
    document = tmp_path / "README.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    assert main([str(run), str(document)]) == 0
    assert document.read_text() == f"{BEGIN}\n{headline(load(run))}\n{END}\n"

    assert main([str(tmp_path / "absent.jsonl")]) == 1
    said = capsys.readouterr().err
    assert "absent.jsonl" in said
    assert said.count("\n") == 1
