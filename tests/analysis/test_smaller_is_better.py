"""`xibench export --out FILE.json` writes what github-action-benchmark reads."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders import append, attempt, header, record, small_case
from tests.cli.command import error_of, xibench
from xibench.record.schema import Record
from xibench.record.store import RunFile


def run(folder: Path) -> None:
    """Write a run of a case with three processes, and one that was too disturbed to rank."""
    calm, busy = small_case(), small_case("jax")
    with RunFile.create(folder / "run.jsonl", header([calm, busy])) as file:
        disturbed = attempt(busy, disturbed=["others took 40 %"], others_share=0.4)
        append(file, record(calm, [0.1, 0.2, 0.3], [0.2, 0.2, 0.3]), Record(case=busy, attempts=[disturbed]))


def test_every_figure_of_which_less_is_better_is_written_with_its_unit_and_interval(tmp_path: Path) -> None:
    run(tmp_path)
    done = xibench("export", "run.jsonl", "--out", "figures.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert {frozenset(entry) - {"range"} for entry in found} == {frozenset({"name", "unit", "value", "extra"})}
    step = next(entry for entry in found if entry["name"].endswith(": step_s"))
    assert step["name"].startswith("pytorch xception/narrow default fp32 batch 1")
    assert (step["unit"], step["value"]) == ("s", 0.2)
    assert step["range"].startswith("[")
    assert "acme-cpu-2c" in step["extra"]
    assert not [entry for entry in found if "images_per_s" in entry["name"]]
    assert not [entry for entry in found if entry["name"].startswith("jax")]


def test_samples_and_other_names_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    assert "--samples" in error_of("export", "run.jsonl", "--out", "x.json", "--samples", cwd=tmp_path, code=2)
    assert ".json" in error_of("export", "run.jsonl", "--out", "x.xml", cwd=tmp_path, code=2)
    assert "cannot be written" in error_of("export", "run.jsonl", "--out", "no/x.json", cwd=tmp_path, code=1)
