from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import ROOT, error_of, xibench

RUN = ROOT / "results/reference/amd-epyc-avx512-2c/quick-0.1.jsonl"


def test_tables_are_shown_with_their_source_and_our_counts(tmp_path: Path) -> None:
    done = xibench("paper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "23,626,728" in done.stdout
    assert "22,855,952" in done.stdout
    assert "arxiv.org/abs/1610.02357" in done.stdout
    assert "`xibench run --preset quick` measures one" in done.stdout


def test_the_ratios_of_a_run_are_shown_beside_that_of_the_paper(tmp_path: Path) -> None:
    found = json.loads(xibench("paper", RUN, "--json", cwd=tmp_path).stdout)["speed_ratio"]
    assert round(found["stated"], 3) == 0.903
    assert {(s["case"]["framework"], s["case"]["recipe"]) for s in found["measured"]} == {
        (framework, recipe) for framework in ("pytorch", "tensorflow", "jax") for recipe in ("default", "tuned")
    }
    assert all(0 < s["measured"]["ratio"] < 1 for s in found["measured"])
    shown = xibench("paper", RUN, cwd=tmp_path).stdout
    assert "0.903" in shown
    assert "paper, training" in shown


def test_a_missing_run_file_is_one_line(tmp_path: Path) -> None:
    assert "nowhere.jsonl" in error_of("paper", "nowhere.jsonl", cwd=tmp_path, code=2)
