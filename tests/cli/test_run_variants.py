"""Variants, comparators and operators are measured by name, in every framework."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from frameworks.architectures import network
from frameworks.cost import cost
from tests.cli.command import error_of, xibench
from xibench.analysis.inventory import variants_of

FRAMEWORKS = ("pytorch", "tensorflow", "jax")
BRIEF = ("--device", "cpu", "--images", "noise", "--no-ceilings", "--repeats", "0", "--max-warmup-steps", "1",
         "--min-steps", "2", "--budget", "0.1", "--batch", "1")  # fmt: skip
SPECTRUM = tuple(f"narrow+segments_{g}" for g in (1, 3, 8))  # one, uneven, and many
HEADS = ("narrow", "narrow+dense", "narrow+jft", "narrow+jft_dense")


def measured(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = xibench("run", *arguments, *BRIEF, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    records: list[dict[str, Any]] = json.loads(done.stdout)["records"]
    return records


@pytest.mark.slow
def test_the_spectrum_and_every_head_are_measured_in_every_framework(tmp_path: Path) -> None:
    records = measured(tmp_path, "-m", "xception", "--variant", ",".join((*SPECTRUM, *HEADS)), "--resolution", "71")
    assert {(r["case"]["framework"], r["case"]["variant"]) for r in records} == {
        (framework, variant) for framework in FRAMEWORKS for variant in (*SPECTRUM, *HEADS)
    }
    assert {r["status"] for r in records} == {"ok"}


@pytest.mark.slow
def test_ablations_and_comparators_are_measured_tuned_in_every_framework(tmp_path: Path) -> None:
    # TorchInductor compiles for half a minute per process: for variants, `verify` runs what it compiles.
    variants = "narrow+no_residual,narrow+elu_between,narrow+pointwise_first+segments_3"
    records = []
    for recipe in (("-f", "pytorch", "--recipe", "tuned+compiler=none"), ("-f", "tensorflow,jax", "--recipe", "tuned")):
        records += measured(tmp_path, "-m", "xception", "--variant", variants, *recipe, "--resolution", "71")
        records += measured(
            tmp_path, "-m", "inception_v3", "--variant", "narrow+keras_2016", *recipe, "--resolution", "75"
        )
    records += measured(
        tmp_path, "-m", "resnet50,vgg16", "--variant", "narrow", "--recipe", "tuned", "--resolution", "64"
    )
    assert {r["status"] for r in records} == {"ok"}
    assert len(records) == 3 * (3 + 1 + 2)


def test_an_operator_is_measured_on_noise_of_its_own_channels(tmp_path: Path) -> None:
    variant = "channels=16+features=24"
    records = measured(tmp_path, "--operator", "separable,inception_segments", "--variant", variant, "-f", "pytorch")
    assert [r["case"]["model"] for r in records] == ["separable", "inception_segments"]
    for one in records:
        assert one["status"] == "ok"
        assert one["case"]["images"] == "noise"
        assert one["case"]["resolution"] == 19
    assert records[0]["costs"]["macs"] == 361 * (9 * 16 + 16 * 24)


@pytest.mark.slow
def test_a_network_with_an_auxiliary_classifier_is_measured_below_the_size_that_training_needs(tmp_path: Path) -> None:
    case = ("-f", "pytorch", "-m", "inception_v3", "--variant", "narrow+torchvision", "--resolution", "96")
    (record,) = measured(tmp_path, *case)
    assert (record["status"], record["case"]["resolution"]) == ("ok", 96)
    assert record["costs"]["macs"] == cost(network("inception_v3", "narrow", resolution=96)).macs


def test_operators_in_a_run_do_not_change_the_images_of_its_networks(tmp_path: Path) -> None:
    found = json.loads(
        xibench("run", "-m", "xception", "--operator", "depthwise", "-f", "jax", "--dry-run", "--json",
                cwd=tmp_path).stdout
    )  # fmt: skip
    assert [(e["case"]["model"], e["case"]["images"]) for e in found["plan"]] == [
        ("xception", "sample"), ("depthwise", "noise"),
    ]  # fmt: skip


def test_an_unknown_variant_or_operator_is_refused_in_one_line(tmp_path: Path) -> None:
    run = ("run", "-f", "pytorch")
    assert "did you mean grouped" in error_of(*run, "--operator", "groupd", cwd=tmp_path, code=2)
    assert "unknown operator 'xception'" in error_of(*run, "--operator", "xception", cwd=tmp_path, code=2)
    assert "segments is 65" in error_of(*run, "-m", "xception", "--variant", "segments=65", cwd=tmp_path, code=2)
    assert "classes is 0" in error_of(*run, "-m", "xception", "--variant", "classes=0", cwd=tmp_path, code=2)
    assert "too small" in error_of(*run, "-m", "vgg16", "--resolution", "16", cwd=tmp_path, code=2)
    assert "unknown variant" in error_of(*run, "-m", "xception", "--variant", "sparse", cwd=tmp_path, code=2)


@pytest.mark.parametrize("variant", ["widht=0.5", "zzz=0.5", "width=wide", "width=0", "order=both", "jft+order=both"])
@pytest.mark.parametrize("command", [("cost", "xception"), ("run", "-m", "xception", "--dry-run")])
def test_a_wrong_field_or_value_of_a_variant_is_answered_with_what_it_takes(
    command: tuple[str, ...], variant: str, tmp_path: Path
) -> None:
    line = error_of(*command, "--variant", variant, cwd=tmp_path, code=2)
    field = variant.partition("=")[0].removeprefix("jft+")
    fields = {field["name"]: field for field in variants_of("xception")["fields"]}
    expected = fields[field]["takes"] if field in fields else " or ".join(difflib.get_close_matches(field, fields))
    assert expected in line
    if field == "zzz":  # near no field
        assert ", ".join(fields) in line
    assert "`xibench list xception --fields`" in line
