"""`xibench spectrum` as typed: a plan, a real small measurement, what it tells, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import said, xibench


def test_a_plan_names_every_network_in_both_ways_of_widths(tmp_path: Path) -> None:
    found = json.loads(xibench("spectrum", "--dry-run", "--json", "-f", "jax", cwd=tmp_path).stdout)
    variants = {entry["case"]["variant"] for entry in found["plan"]}
    assert {"default", "segments_1", "segments_2", "segments_3", "segments_4", "segments_8"} < variants
    assert sum("width=" in variant for variant in variants) == 5
    assert found["rule"]["processes"] == 3


@pytest.mark.slow
def test_a_measured_spectrum_is_told_in_a_table_a_sentence_and_json(tmp_path: Path) -> None:
    run = tmp_path / "spectrum.jsonl"
    done = xibench(
        "spectrum", "-f", "pytorch", "--segments", "4,8,C", "--widths", "equal", "--resolution", "71", "--batch", "1",
        "--processes", "1", "--budget", "0.2", "--no-ceilings", "--out", run, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "at equal parameters" in done.stdout
    assert "from g = 4 to g = C" in done.stdout
    (curve,) = json.loads(xibench("spectrum", run, "--json", cwd=tmp_path).stdout)["curves"]
    assert [point["segments"] for point in curve["points"]] == ["4", "8", "C"]
    assert all(point["images_per_s"]["median"] > 0 for point in curve["points"])
    assert all(point["latency_s"]["p50"]["value"] > 0 for point in curve["points"])
    parameters = [point["parameters_trainable"] for point in curve["points"]]
    assert max(parameters) / min(parameters) < 1.02


def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "received zero, expected whole numbers" in said("spectrum", "--segments", "zero", cwd=tmp_path, code=2)
    assert "segments is 99, expected 1 to 64" in said("spectrum", "--segments", "99", cwd=tmp_path, code=2)
    assert "did you mean paper" in said("spectrum", "--widths", "papr", cwd=tmp_path, code=2)


def test_a_run_without_the_spectrum_says_what_would_hold_one(tmp_path: Path) -> None:
    from tests.cli.test_paper import RUN

    done = xibench("spectrum", RUN, cwd=tmp_path)
    assert done.returncode == 1
    assert "holds no curve of the spectrum" in done.stderr
