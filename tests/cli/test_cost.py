from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import said, xibench


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
def test_costs_are_those_of_the_literature(arguments: list[str], trainable: int, macs: int, tmp_path: Path) -> None:
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
    double, single, half = (
        cost("xception", "--precision", name, cwd=tmp_path)["bytes_moved"] for name in ("fp64", "fp32", "bf16")
    )
    assert double == 2 * single
    assert single < 2 * half < 1.01 * single  # bf16 keeps batch norm's parameters in float32


def test_people_get_exact_and_rounded_figures_and_layers_on_demand(tmp_path: Path) -> None:
    done = xibench("cost", "xception", "--layers", cwd=tmp_path)
    assert "8,357,403,496" in done.stdout
    assert "8.36 GMAC" in done.stdout
    assert "block5.sepconv2.depthwise" in done.stdout
    assert "block5" not in xibench("cost", "xception", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["xeption"], ["unknown model 'xeption'", "xception"]),
        (["xception", "--variant", "narow"], ["unknown variant of xception 'narow'", "narrow"]),
        (["xception", "--precision", "fp23"], ["unknown precision 'fp23'", "fp32"]),
        (["xception", "--batch", "0"], ["--batch", "received 0", "at least 1"]),
        (["xception", "--batch", "many"], ["--batch", "received many", "whole number"]),
        (["xception", "--resolution", "6"], ["resolution 6 is too small", "the least that works is 7"]),
        (["inception_v3", "--resolution", "74"], ["resolution 74 is too small", "the least that works is 75"]),
    ],
)
def test_wrong_usage_is_refused_in_one_line(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    line = said("cost", *arguments, cwd=tmp_path, code=2)
    assert all(word in line for word in words), line
