from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import append, calibration, header, record, small_case
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
        (["xception", "--block", "block4,blok5"], ["unknown block 'blok5' of xception/default", "block5, block6"]),
        (["inception_v3", "--block", "block4"], ["unknown block 'block4'", "mixed_5b, mixed_5c"]),
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


def rows_of(shown: str, start: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in shown.splitlines() if line.startswith(start)}


def test_blocks_have_a_row_each_and_times_only_from_a_run(run_file: Path) -> None:
    bare = xibench("cost", "xception", "--blocks", "--batch", "8", cwd=run_file.parent).stdout
    assert "attainable" not in bare
    assert "as written" in bare
    assert rows_of(bare, "block")["block4"] == ["block4", "8,480,708,800", "13", "%", "920,312", "4", "%", "489", "MiB"]
    timed = xibench("cost", "xception", "--blocks", "--batch", "8", "--run", "run.jsonl", cwd=run_file.parent).stdout
    rows = rows_of(timed, "block")
    assert list(rows)[-14:] == [f"block{n}" for n in range(1, 15)]
    assert rows["block4"][-6:] == ["compute,", "91", "%", "of", "its", "time"]
    assert rows_of(timed, "head")["head"][-1] == "memory"
    assert rows_of(timed, "network")["network"][1:5] == ["66,859,227,968", "100", "%", "22,910,480"]


def test_one_command_says_what_a_block_costs_and_what_bounds_it(run_file: Path) -> None:
    arguments = ["cost", "xception", "--block", "block4", "--batch", "8"]
    shown = xibench(*arguments, "--run", "run.jsonl", cwd=run_file.parent).stdout
    assert set(rows_of(shown, "block")) == {
        "block4", *(f"block4.sepconv{n}.{part}" for n in (1, 2) for part in ("relu", "depthwise", "pointwise", "bn")),
        "block4.pool", "block4.shortcut.conv", "block4.shortcut.bn", "block4:",
    }
    assert shown.splitlines()[-1] == (
        "block4: 13 % of the MACs, 4 % of the parameters and 12 % of the attainable time at batch 8; "
        "compute-bound for 91 % of that time"
    )
    bare = xibench(*arguments, cwd=run_file.parent).stdout.splitlines()[-1]
    assert bare.startswith("block4: 13 % of the MACs and 4 % of the parameters at batch 8; `--run latest` adds ")
    assert "time" not in bare.partition(";")[0]
    several = xibench(
        "cost", "inception_v3", "--variant", "auxiliary", "--block", "pool_3a_3x3,auxiliary", "--run", "run.jsonl",
        cwd=run_file.parent,
    ).stdout.splitlines()  # fmt: skip
    assert re.fullmatch(r"pool_3a_3x3: 0 % of the MACs, 0 % of .* time at batch 1; memory-bound", several[-2])
    assert several[-1] == "auxiliary: 12 % of the parameters, and no work in inference"


def test_the_json_has_the_blocks_and_with_a_run_their_times_and_what_it_attained(tmp_path: Path) -> None:
    case = msgspec.structs.replace(small_case(batch=8), recipe="tuned")
    with RunFile.create(tmp_path / "run.jsonl", header([case])) as file:
        file.append(calibration())
        append(file, record(case, [0.2, 0.2, 0.2]))
    narrow = ("xception", "--variant", "narrow", "--batch", "8", "--resolution", "75")
    bare, timed = cost(*narrow, cwd=tmp_path), cost(*narrow, "--run", "run.jsonl", cwd=tmp_path)
    assert bare["blocks"] == timed["blocks"]
    assert "attainable_s" not in bare["blocks"][0]
    roof = timed["roofline"]
    assert [block["name"] for block in roof["blocks"]] == [block["name"] for block in bare["blocks"]]
    assert [block["bytes_moved"] for block in roof["blocks"]] == [block["bytes_fused"] for block in bare["blocks"]]
    (found,) = roof["measured"]
    assert (found["framework"], found["recipe"], found["step_s"]) == ("pytorch", "tuned", 0.2)
    shown = xibench("cost", *narrow, "--run", "run.jsonl", cwd=tmp_path).stdout
    assert rows_of(shown, "pytorch")["pytorch"][:3] == ["pytorch", "tuned", "200"]


def test_each_time_stands_beside_the_bytes_that_it_is_computed_from(run_file: Path) -> None:
    bare = xibench("cost", "xception", "--layers", cwd=run_file.parent).stdout
    timed = xibench("cost", "xception", "--layers", "--run", "run.jsonl", cwd=run_file.parent).stdout
    name = "block5.sepconv1.bn"  # as written it moves 2 x 4 x 728 x 19 x 19 bytes and its parameters; fused, nothing
    assert rows_of(bare, name)[name][-2:] == ["2.02", "MiB"]
    assert rows_of(timed, name)[name][-4:] == ["0", "B", "–", "fused"]
    headings = [[line for line in shown.splitlines() if "element-wise" in line][-1] for shown in (bare, timed)]
    assert [heading.split()[-2:] for heading in headings] == [["as", "written"], ["bound", "by"]]
    assert headings[1].count("fused") == 2


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
