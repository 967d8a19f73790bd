from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, error_of, xibench
from tests.processes import GENEROUS_S
from xibench.record import pair_store

NARROW = ("-f", "pytorch", "-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1",
          "--images", "noise")  # fmt: skip


@pytest.mark.slow
def test_one_pair_of_a_commit_with_itself_is_unsure_and_the_file_holds_its_samples(tmp_path: Path) -> None:
    done = xibench("ab", "--base", "git:HEAD", "--new", "git:HEAD", *NARROW, "--max-pairs", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (pair,) = found["pairs"]
    assert (pair["verdict"], pair["low"], pair["n"], found["slower"]) == ("unsure", None, 1, 0)
    (path,) = (tmp_path / "results/ab").glob("*.jsonl")
    stored = pair_store.read(path)
    assert stored.header.base.commit
    assert stored.header.base.commit == stored.header.new.commit
    assert stored.pairs[-1].base is not None
    assert stored.pairs[-1].base.bursts_s


@pytest.mark.slow
def test_recipes_are_sides_and_their_differences_are_reported(tmp_path: Path) -> None:
    done = xibench(
        "ab", "--base", "recipe:default", "--new", "recipe:default+batch_norm=folded", *NARROW, "--max-pairs", "1",
        cwd=tmp_path,
    )
    assert done.returncode in (0, 3), done.stderr
    assert "not like for like: batch_norm_folded False -> True" in done.stdout


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("hg:tip", "expected tree, git:REV, python:PATH, recipe:NAME, recipe:FILE, precision:NAME or framework:NAME"),
        ("git:no-such", "no such commit"),
        (sys.executable, f"the interpreter {sys.executable} is python:{sys.executable}"),
        ("precision:bf16", "received precision:bf16 alone, expected a precision beside it: --new precision:NAME"),
        ("framework:jax", "received framework:jax alone, expected a framework beside it: --new framework:NAME"),
    ],
)
def test_an_invalid_side_is_a_usage_error(tmp_path: Path, side: str, message: str) -> None:
    assert message in error_of("ab", "--base", side, *NARROW, cwd=tmp_path, code=2)


IMPLEMENTATIONS = ("-m", "xception", "--variant", "narrow", "--resolution", "75", "--batch", "1", "--images", "noise")


def test_two_implementations_are_sides_whose_outputs_are_compared_and_the_answer_is_a_sentence(tmp_path: Path) -> None:
    sides = ("--base", "framework:reference", "--new", "framework:pytorch+default+batch_norm=folded")
    done = xibench("ab", *sides, *IMPLEMENTATIONS, "--max-pairs", "1", "--out", "pairs.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "xception/narrow fp32 batch 1 75 px cpu: 1 pair: too few for a conclusion" in done.stdout
    stored = pair_store.read(tmp_path / "pairs.jsonl")
    assert (stored.header.base.name, stored.header.new.name) == (sides[1], sides[3])
    pair = stored.pairs[-1]
    assert pair.case.framework == "reference"
    assert pair.base is not None
    assert pair.new is not None
    assert "torch" in pair.new.versions
    assert "torch" not in pair.base.versions
    assert pair.new.settings["batch_norm_folded"] is True
    assert pair.output_error is not None
    assert 0 < pair.output_error < 1e-5


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (("framework:jax", "tree"), "expected framework:NAME for all of them, or for none"),
        (("framework:jx", "framework:jax"), "unknown framework 'jx': did you mean jax"),
        (("framework:jax+fast", "framework:jax"), "unknown recipe 'fast'"),
        (("framework:torchvision", "framework:pytorch"), "torchvision has no xception"),
    ],
)
def test_an_implementation_that_cannot_be_a_side_is_refused(
    sides: tuple[str, str], words: str, tmp_path: Path
) -> None:
    line = error_of("ab", "--base", sides[0], "--new", sides[1], *IMPLEMENTATIONS, cwd=tmp_path, code=2)
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--base", "tree"), "received tree for both"),
        (("--base", "recipe:tuned", "--new", "recipe:tuned"), "received recipe:tuned for both"),
        (("--base", "git:HEAD", "--base", "recipe:tuned"), "'--base': it was given more than once"),
        (("--base", "recipe:default", "--new", "recipe:tuned", "--recipe", "tuned"), "beside side recipe:default"),
        (("--base", "framework:jax", "--new", "framework:pytorch"), "--framework: received pytorch beside side"),
        (("--base", "git:HEAD", "--precision", "tf32", "--device", "cpu"), "a CPU has no TF32"),
        (("--base", "precision:fp32", "--new", "precision:bf16", "--precision", "fp32"), "beside side precision:fp32"),
        (("--base", "precision:fp32", "--new", "precision:f16"), "unknown precision 'f16'"),
        (("--new", "recipe:tuned"), "received no side to compare with"),
        (("--sides", "recipe:tuned,recipe:default", "--base", "tree"), "beside --base or --new"),
        (("--sides", "recipe:tuned"), "expected 2 to 6 different ones"),
        (("--base", "git:HEAD", "--metric", "speed"), "--metric: received speed, expected step"),
    ],
)
def test_options_that_contradict_each_other_are_refused_and_leave_no_file(
    options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    assert words in error_of("ab", *options, *NARROW, cwd=tmp_path, code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_that_the_framework_of_a_side_lacks_is_a_usage_error(tmp_path: Path) -> None:
    line = error_of("ab", "--base", "tree", "--new", "recipe:tuned+compiler=fast", *NARROW, cwd=tmp_path, code=2)
    assert "compiler is 'fast', expected one of none, inductor, frozen" in line
    timm = error_of("ab", "--base", "tree", "--new", "recipe:tuned+layout=NCHW", "-f", "timm", "-m", "xception",
                cwd=tmp_path, code=2)  # fmt: skip
    assert "unknown recipe 'tuned+layout=NCHW'" in timm


def test_a_framework_missing_on_one_side_is_reported_and_nothing_is_compared(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\necho no framework here; exit 5\n")
    bare.chmod(0o755)
    done = xibench("ab", "--base", f"python:{bare}", *NARROW, cwd=tmp_path)
    assert done.returncode == 1
    assert "exited with code 5" in done.stdout
    assert done.stderr.splitlines()[-1] == "xibench: nothing was compared: the reasons are above"


def test_two_output_formats_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    line = error_of("ab", "--base", "tree", *NARROW, "--json", "--markdown", cwd=tmp_path, code=2)
    assert "--json and --markdown" in line
    assert not (tmp_path / "results").exists()


def test_ctrl_c_prints_the_comparison_so_far_and_the_path_of_the_pairs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xibench", "ab", "--base", "git:HEAD", *NARROW, "--out", "pairs.jsonl"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert running.stderr is not None
    with running:  # closes its pipes, also where an assertion fails
        began = next((line for line in running.stderr if line.startswith("pair 1 of ")), "")  # others may be busy first
        os.killpg(running.pid, signal.SIGINT)
        shown, errors = running.communicate(timeout=GENEROUS_S)
    assert began.startswith("pair 1 of pytorch xception/narrow")
    assert running.returncode == 130
    assert "pytorch xception/narrow" in shown
    assert errors.splitlines()[-1] == "xibench: interrupted; the pairs measured so far are in pairs.jsonl"
    assert pair_store.read(tmp_path / "pairs.jsonl").pairs


@pytest.mark.slow
def test_more_than_two_sides_are_ranked_and_their_file_opens_in_show_and_report(tmp_path: Path) -> None:
    sides = "framework:reference,framework:pytorch,framework:pytorch+default+batch_norm=folded"
    done = xibench(
        "ab", "--sides", sides, *IMPLEMENTATIONS, "--max-pairs", "1", "--metric", "step,memory,job:100", "--out",
        "pairs.jsonl", "--repeats", "0", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = pair_store.read(tmp_path / "pairs.jsonl")
    assert [side.name for side in stored.header.sides] == sides.split(",")
    assert sorted(pair.sides for pair in stored.pairs) == [(0, 1), (0, 2), (1, 2)]
    for pair in stored.pairs:
        assert pair.new is not None
        assert pair.new.start_s
        assert pair.new.start_s > 0, "the start is compared, so that the processes did not start at once"
        assert pair.new.build_s
        assert pair.new.peak_bytes
    for name in ("time per step", "peak memory", "time for 100 images, start included"):
        assert f"{name}: 1 pair of each two sides: too few for a ranking." in done.stdout
    assert "%" not in "".join(line for line in done.stdout.splitlines() if "[too few]" in line), "no change of one pair"

    shown = xibench("show", "pairs.jsonl", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["rankings"][0]["n"] == 1
    assert xibench("show", "pairs.jsonl", cwd=tmp_path).stdout == done.stdout
    assert "expected a run file" in error_of("show", "pairs.jsonl", "--csv", cwd=tmp_path, code=2)
    assert xibench("report", "pairs.jsonl", "--out", "site", cwd=tmp_path).returncode == 0
    page = (tmp_path / "site/comparisons.html").read_text()
    assert "too few for a ranking" in page
    assert not (tmp_path / "site/index.html").exists()


@pytest.mark.slow
def test_a_precision_is_a_side(tmp_path: Path) -> None:
    done = xibench(
        "ab", "--base", "precision:fp64", "--new", "precision:fp32", *NARROW, "--max-pairs", "1", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (pair,) = json.loads(done.stdout)["pairs"]
    assert not any("outputs of the sides differ" in note for note in pair["notes"]), "rounding is no other computation"
    (path,) = (tmp_path / "results/ab").glob("*.jsonl")
    stored = pair_store.read(path).pairs[-1]
    assert stored.base is not None
    assert stored.new is not None
    assert stored.output_error
    assert stored.base.settings["kernel_dtype"] != stored.new.settings["kernel_dtype"]


def test_a_dry_run_says_how_long_it_may_take_and_measures_nothing(tmp_path: Path) -> None:
    sides = ("--sides", "framework:jax,framework:pytorch,framework:reference")
    done = xibench("ab", *sides, *IMPLEMENTATIONS, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at most 15 min" in done.stdout, "three comparisons of two sides, five minutes each"
    document = json.loads(xibench("ab", *sides, *IMPLEMENTATIONS, "--dry-run", "--json", cwd=tmp_path).stdout)
    assert document["limits"]["budget_s"] == 900
    assert list(tmp_path.iterdir()) == []
