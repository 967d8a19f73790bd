from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import xibench
from xibench.scenarios import SCENARIOS


def test_the_json_has_the_shape_that_scripts_rely_on(tmp_path: Path) -> None:
    found = json.loads(xibench("list", "--json", cwd=tmp_path).stdout)
    lists = {
        "models", "operators", "frameworks", "references", "contenders", "scenarios", "recipes", "precisions",
        "presets",
    }  # fmt: skip
    assert all(isinstance(found[name], list) for name in lists)
    names = {model["name"] for model in found["models"]}
    assert names == {"xception", "inception_v3", "resnet50", "resnet101", "resnet152", "vgg16"}
    assert all("default" in entry["variants"] for entry in found["models"] + found["operators"])
    assert {"grouped", "separable", "inception_extreme"} < {operator["name"] for operator in found["operators"]}
    assert found["frameworks"] == ["pytorch", "tensorflow", "jax"]
    assert found["references"] == ["reference"]
    assert found["contenders"] == ["keras-pytorch", "keras-tensorflow", "keras-jax", "torchvision", "timm"]
    assert found["recipes"] == ["default", "compiled", "tuned"]
    assert found["precisions"] == ["fp64", "fp32", "tf32", "bf16"]
    assert {"quick", "nightly"} <= set(found["presets"])
    assert found["scenarios"] == list(SCENARIOS)


def test_a_framework_is_listed_with_its_installed_version(tmp_path: Path) -> None:
    from importlib import metadata

    found = json.loads(xibench("list", "--json", cwd=tmp_path).stdout)
    assert found["versions"]["jax"]["flax"] == metadata.version("flax")


def test_the_version_of_a_framework_comes_from_its_own_environment(tmp_path: Path) -> None:
    site = tmp_path / ".venvs/pytorch/lib/python3.11/site-packages/torch-9.8.7.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.8.7\n")
    python = tmp_path / ".venvs/pytorch/bin/python"
    python.parent.mkdir()
    python.touch()
    found = json.loads(xibench("list", "--json", cwd=tmp_path).stdout)
    assert found["versions"]["pytorch"] == {"torch": "9.8.7"}


def test_the_tables_explain_each_name(tmp_path: Path) -> None:
    shown = xibench("list", cwd=tmp_path).stdout
    assert "batch_norm_scale" in shown
    assert "TF32 off" in shown
    assert "the regression job" in shown
    assert "keras.applications on JAX" in shown
    assert all(name in shown for name in SCENARIOS)
