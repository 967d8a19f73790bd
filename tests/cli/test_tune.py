"""`xibench tune`: a small real search, interrupted and resumed, and its recipe file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from frameworks.api import FRAMEWORKS
from tests.builders import small_case
from tests.cli.command import ROOT, error_of, xibench
from tests.processes import wait_until
from xibench.analysis.tuning import SearchResult
from xibench.cli.render.tune_tables import found_lines
from xibench.record import recipe_file
from xibench.record.recipe_file import FORMAT, RecipeFile

SMALL = ("tune", "jax/xception/narrow", "--resolution", "75", "--batch", "1", "--images", "noise")


def written_for(framework: str, path: Path, batch: int | None = None) -> Path:
    recipe_file.write(path, RecipeFile(
        format=FORMAT, xibench="0", created_utc="2026-11-25T00:00:00+00:00", framework=framework,
        recipe="default+batch_norm=folded", case=small_case(framework), machine="m", environment="e", batch=batch,
    ))  # fmt: skip
    return path


@pytest.mark.slow
def test_an_interrupted_search_resumes_and_its_recipe_can_be_measured(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    arguments = [*SMALL, "--choice", "batch_norm", "--folder", str(folder)]
    first = folder / "01-start.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "xibench", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:  # fmt: skip
        wait_until(lambda: first.exists() and '"attempt"' in first.read_text(), "nothing was measured")
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate()
    assert child.returncode == 130
    expected = f"xibench: interrupted in stage start; resume with `xibench tune --resume {folder}`"
    assert errors.splitlines()[-1] == expected
    began = first.read_bytes()

    done = xibench("tune", "--resume", folder, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert first.read_bytes().startswith(began)
    stages = [line for line in done.stderr.splitlines() if line.startswith("stage ")]
    assert stages[0] == "stage 1, start: 2 recipes interleaved, 2 processes each"
    assert stages[-1].startswith(f"stage {len(stages)}, confirm: ")
    assert stages[-1].endswith("recipes interleaved, 5 processes each")
    found = json.loads(done.stdout)
    assert found["found"]["framework"] == "jax"
    assert {stage["name"] for stage in found["stages"]} == {"start", "batch_norm", "confirm"}
    again = json.loads(xibench("tune", "--resume", folder, "--json", cwd=tmp_path).stdout)
    assert again["stages"] == found["stages"]  # everything was read from the folder, nothing was measured again

    file = folder / "recipe.json"
    measured = xibench(
        "run", "--recipe", file, "-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1",
        "--images", "noise", "--budget", "1", "--no-ceilings", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    (record,) = json.loads(measured.stdout)["records"]
    assert (record["case"]["framework"], record["case"]["recipe"]) == ("jax", found["found"]["recipe"])
    table = xibench("tune", "--resume", folder, cwd=tmp_path)
    assert "Found: default" in table.stdout
    assert "batch_norm=folded" in table.stdout
    assert "fresh processes each" in table.stdout
    assert f"xibench run -f jax -m xception --recipe {file}" in table.stderr


def test_a_search_that_finds_tuned_reports_it(tmp_path: Path) -> None:
    text = FRAMEWORKS["jax"].written(FRAMEWORKS["jax"].recipe("tuned", "cpu").choices)
    case = replace(small_case("jax"), recipe=text)
    written = recipe_file.read(written_for("jax", tmp_path / "recipe.json"))
    assert "which is what `tuned` chooses" not in "\n".join(found_lines(SearchResult(case), written))
    assert "which is what `tuned` chooses" in "\n".join(found_lines(SearchResult(case), replace(written, recipe=text)))


def test_a_dry_run_shows_the_search_without_measuring(tmp_path: Path) -> None:
    shown = xibench(*SMALL, "--dry-run", cwd=tmp_path)
    assert "  depthwise: grouped, shifted" in shown.stdout.splitlines()
    assert "  pools: windows, shifted" in shown.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []
    several = json.loads(xibench("tune", "jax/xception", "--batch", "1,8", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert (several["case"]["batch"], several["batches"]) == (1, [1, 8])


def test_an_invalid_search_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "CASE: received none, expected FRAMEWORK/MODEL" in error_of("tune", cwd=tmp_path, code=2)
    assert "CASE: received jax, expected FRAMEWORK/MODEL" in error_of("tune", "jax", cwd=tmp_path, code=2)
    assert "framework 'keras-jax'" in error_of("tune", "keras-jax/xception", cwd=tmp_path, code=2)
    assert "model 'xceptio'" in error_of("tune", "jax/xceptio", cwd=tmp_path, code=2)
    assert "choice of a recipe in jax on cpu 'graphs'" in error_of(*SMALL, "--choice", "graphs", cwd=tmp_path, code=2)
    line = error_of("tune", "jax/xception", "--resolution", "75,99", cwd=tmp_path, code=2)
    assert "--resolution: received 75, 99, expected one" in line
    line = error_of("tune", "--resume", "nowhere", cwd=tmp_path, code=2)
    assert "expected a folder that `xibench tune` created" in line
    line = error_of("tune", "--resume", "nowhere", "--choice", "pools", cwd=tmp_path, code=2)
    assert "received --choice" in line


def test_a_folder_with_a_search_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search.json").write_text("{}")
    line = error_of(*SMALL, "--folder", "search", cwd=tmp_path, code=1)
    assert "search already contains a search; resume it (`xibench tune --resume search`)" in line
    assert "is damaged" in error_of("tune", "--resume", "search", cwd=tmp_path, code=2)


def test_a_recipe_file_sets_the_framework_and_the_batch(tmp_path: Path) -> None:
    file = written_for("jax", tmp_path / "recipe.json", batch=16)
    plan = json.loads(xibench("run", "--recipe", file, "--dry-run", "--json", cwd=tmp_path).stdout)["plan"]
    assert {(entry["case"]["framework"], entry["case"]["batch"]) for entry in plan} == {("jax", 16)}
    assert {entry["case"]["recipe"] for entry in plan} == {"default+batch_norm=folded"}
    asked = xibench("run", "--recipe", f"{file},tuned", "--batch", "2", "--dry-run", "--json", cwd=tmp_path)
    plan = json.loads(asked.stdout)["plan"]
    assert {(entry["case"]["recipe"], entry["case"]["batch"]) for entry in plan} == {
        ("default+batch_norm=folded", 2), ("tuned", 2)
    }  # fmt: skip


def test_a_recipe_file_of_another_framework_is_refused(tmp_path: Path) -> None:
    file = written_for("jax", tmp_path / "recipe.json")
    line = error_of("run", "-f", "pytorch", "--recipe", file, cwd=tmp_path, code=2)
    assert "it is a recipe for jax; received --framework pytorch, expected jax alone" in line
    other = written_for("pytorch", tmp_path / "other.json")
    assert "is a recipe for pytorch" in error_of("run", "--recipe", f"{file},{other}", cwd=tmp_path, code=2)
    assert "recipe file none.json cannot be read" in error_of("run", "--recipe", "none.json", cwd=tmp_path, code=2)
