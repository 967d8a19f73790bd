from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import calibration, header, small_case
from tests.cli.command import error_of, xibench
from xibench.analysis.counter_terms import Term
from xibench.analysis.counters import CounterCheck
from xibench.cli import app
from xibench.record.store import RunFile


def cost(*arguments: str, cwd: Path) -> Any:
    done = xibench("cost", *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "trainable", "macs"),
    [
        (["xception"], 22_855_952, 8_357_403_496),
        (["inception_v3"], 23_817_352, 5_713_216_096),
        (["inception_v3", "--variant", "batch_norm_scale"], 23_834_568, 5_713_216_096),
    ],
)
def test_costs_equal_those_of_the_literature(arguments: list[str], trainable: int, macs: int, tmp_path: Path) -> None:
    found = cost(*arguments, cwd=tmp_path)
    assert found["parameters_trainable"] == trainable
    assert found["macs"] == macs


def test_the_running_statistics_are_in_the_total(tmp_path: Path) -> None:
    assert cost("xception", cwd=tmp_path)["parameters_total"] == 22_910_480


def test_the_json_has_the_keys_that_scripts_rely_on_and_layers_that_add_up(tmp_path: Path) -> None:
    found = cost("xception", cwd=tmp_path)
    sums = {"parameters_trainable", "parameters_total", "macs", "activations"}
    assert {"model", "variant", "layers", *sums} <= set(found)
    assert (found["model"], found["variant"]) == ("xception", "default")
    assert {"name", "kind", "output_shape", "parameters", "macs"} <= set(found["layers"][0])
    for figure in ("macs", "activations"):
        assert sum(layer[figure] for layer in found["layers"]) == found[figure]
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters_total"]


def test_a_batch_multiplies_work_but_not_parameters(tmp_path: Path) -> None:
    one, eight = cost("xception", cwd=tmp_path), cost("xception", "--batch", "8", cwd=tmp_path)
    assert eight["macs"] == 8 * one["macs"]
    assert eight["parameters_total"] == one["parameters_total"]


def test_the_precision_sets_the_bytes_moved(tmp_path: Path) -> None:
    double, single, tf32, half = (
        cost("xception", "--precision", name, cwd=tmp_path)["bytes_moved"] for name in ("fp64", "fp32", "tf32", "bf16")
    )
    assert double == 2 * single
    assert tf32 == single  # TF32 is a mode of matmuls; in memory, values are float32
    assert single < 2 * half < 1.01 * single  # with bf16, batch norm's parameters stay float32


def test_tables_have_exact_and_rounded_figures_and_layers_on_request(tmp_path: Path) -> None:
    done = xibench("cost", "xception", "--layers", cwd=tmp_path)
    assert "8,357,403,496" in done.stdout
    assert "8.36 GMAC" in done.stdout
    assert "block5.sepconv2.depthwise" in done.stdout
    assert "block5" not in xibench("cost", "xception", cwd=tmp_path).stdout


def test_an_auxiliary_classifier_has_no_cost_where_the_image_is_too_small_to_train_it(tmp_path: Path) -> None:
    case = ("inception_v3", "--variant", "torchvision", "--resolution")
    small, whole = (cost(*case, size, cwd=tmp_path) for size in ("224", "299"))
    assert (small["auxiliary_macs"], small["auxiliary_layers"]) == (None, [])
    assert whole["auxiliary_macs"] == 5_683_200
    assert small["parameters_total"] == whole["parameters_total"]
    (row,) = [
        line for line in xibench("cost", *case, "224", cwd=tmp_path).stdout.splitlines() if "auxiliary" in line
    ]
    assert row.split()[-2:] == ["–", "–"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["xeption"], ["unknown model 'xeption'", "xception"]),
        (["xception", "--variant", "narow"], ["unknown variant of xception 'narow'", "narrow"]),
        (["xception", "--precision", "fp23"], ["unknown precision 'fp23'", "fp32"]),
        (["xception", "--batch", "0"], ["--batch", "received 0", "at least 1"]),
        (["xception", "--batch", "many"], ["--batch", "received many", "whole number"]),
        (["xception", "--resolution", "6"], ["resolution 6 is too small", "the minimum is 7"]),
        (["inception_v3", "--resolution", "74"], ["resolution 74 is too small", "the minimum is 75"]),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    line = error_of("cost", *arguments, cwd=tmp_path, code=2)
    assert all(word in line for word in words), line


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    """A run with ceilings in fp32 and bf16, and a run without ceilings."""
    RunFile.create(tmp_path / "bare.jsonl", header([small_case()])).close()
    with RunFile.create(tmp_path / "run.jsonl", header([small_case()])) as file:
        file.append(calibration())
    return tmp_path / "run.jsonl"


def test_attainable_times_at_the_ceilings_of_a_run_add_up_over_the_layers(run_file: Path) -> None:
    found = cost("xception", "--run", "run.jsonl", "--batch", "2", cwd=run_file.parent)
    roof = found["roofline"]
    assert (roof["peak_flops_per_s"], roof["bytes_per_s"]) == (12e9, 1e9)
    assert [layer["name"] for layer in roof["layers"]] == [layer["name"] for layer in found["layers"]]
    assert sum(layer["attainable_s"] for layer in roof["layers"]) == pytest.approx(roof["attainable_s"])
    assert 2 * found["macs"] / 12e9 <= roof["attainable_s"] <= roof["as_written_s"]
    bf16 = cost("xception", "--run", "run.jsonl", "--batch", "2", "--precision", "bf16", cwd=run_file.parent)
    assert bf16["roofline"]["peak_flops_per_s"] == 6e9


def test_the_table_shows_the_bound_of_each_layer(run_file: Path) -> None:
    shown = xibench("cost", "xception", "--layers", "--run", "run.jsonl", cwd=run_file.parent).stdout
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.startswith("block5.sepconv2.")}
    assert rows["block5.sepconv2.depthwise"][-1] == "memory"
    assert rows["block5.sepconv2.pointwise"][-1] == "compute"
    assert rows["block5.sepconv2.bn"][-2:] == ["–", "fused"]
    assert "every layer as written" in shown


def test_a_run_without_the_ceilings_is_refused_with_a_remedy(run_file: Path) -> None:
    line = error_of("cost", "xception", "--run", "bare.jsonl", cwd=run_file.parent, code=2)
    assert "no ceilings" in line
    assert "name a run that measured ceilings" in line
    line = error_of("cost", "xception", "--run", "run.jsonl", "--precision", "fp64", cwd=run_file.parent, code=2)
    assert "no matmul in fp64" in line


def counted(flops: float | None, *terms: Term, problem: str | None = None) -> CounterCheck:
    return CounterCheck("jax", "its counter", 16_714_806_992, flops, terms, problem)


@pytest.mark.parametrize(
    ("check", "code", "words"),
    [
        (counted(16_714_806_992.0), 0, "no difference"),
        (counted(16_714_806_999.0, Term("biases", 7)), 0, "+7 biases"),
        (counted(18e9, Term("biases", 7)), 1, "unexplained"),
        (counted(None, problem="jax: not installed"), 0, "jax: not installed"),
    ],
)
def test_only_an_unexplained_difference_of_a_counter_is_a_failure(
    check: CounterCheck, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xibench.analysis.counters.counters", lambda *_: [check])
    assert app.call(["cost", "xception", "--counters"]) == code
    assert words in capfd.readouterr().out
    assert app.call(["cost", "xception", "--counters", "--json"]) == code
    (found,) = json.loads(capfd.readouterr().out)["counters"]
    assert found["agrees"] is (None if check.flops is None else code == 0)
