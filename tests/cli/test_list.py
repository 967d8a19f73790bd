from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network
from tests.cli.command import error_of, xibench
from tests.cli.rendering import rendered
from xibench.analysis.inventory import inventory, variants_of
from xibench.cli.render.tables import field_table, inventory_tables
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


@pytest.mark.skipif(
    Path(__file__).parents[2].joinpath(".venvs/pytorch").exists(), reason="the checkout has one, which comes first"
)
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


def test_what_all_operators_share_is_listed_once_and_nothing_is_wider_than_a_terminal_of_100_columns() -> None:
    shown = "".join(rendered(table, width=100) for table in inventory_tables(inventory()))
    lines = shown.splitlines()
    assert sum("entry_128_256" in line for line in lines) == 1
    assert all(f"\n{name} " in shown for name in (*MODELS, *OPERATORS))
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert len(lines) < 120


def test_the_shapes_of_operators_are_listed_with_their_sizes(tmp_path: Path) -> None:
    found = json.loads(xibench("list", "--json", cwd=tmp_path).stdout)
    assert found["shapes"]["exit_728_1024"] == {"resolution": 19, "channels": 728, "features": 1024}
    assert list(found["shapes"]) == found["operators"][0]["variants"]


@pytest.mark.parametrize("model", ["xception", "inception_v3", "resnet50", "grouped"])
def test_what_a_variant_sets_is_written_as_the_option_takes_it(model: str, tmp_path: Path) -> None:
    shown = xibench("list", model, cwd=tmp_path).stdout.splitlines()
    rows = [line.split(maxsplit=1) for line in shown[3:] if line]
    assert [name for name, _ in rows] == list(NETWORKS[model].variants)
    for name, written in rows:
        fields, _, resolution = written.strip().partition(" --resolution ")
        size = {"resolution": int(resolution)} if resolution else {}
        built = network(model, "default" if fields == "the defaults" else fields, **size)
        assert (built.layers, built.input_shape) == (network(model, name).layers, network(model, name).input_shape)


def test_every_field_that_a_variant_can_set_is_listed_with_its_values_default_meaning_and_networks(
    tmp_path: Path,
) -> None:
    found = json.loads(xibench("list", "xception", "--json", cwd=tmp_path).stdout)
    fields: dict[str, dict[str, Any]] = {field["name"]: field for field in found["fields"]}
    assert fields["intermediate"]["takes"] == "one of none, relu, elu"
    assert fields["width"] == {
        "name": "width", "takes": "a number above 0, at most 64", "default": 1.0, "networks": list(MODELS),
        "meaning": "multiplies the number of channels everywhere, rounded to multiples of 8",
    }  # fmt: skip
    assert fields["segments"]["networks"] == ["xception"]
    assert found["variants"]["jft"] == {"classes": 17_000, "output": "sigmoid", "dropout": 0.0}

    shown = xibench("list", "xception", "--fields", cwd=tmp_path).stdout
    assert all(f"\n{name} " in shown for name in fields)
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "false removes all twelve shortcuts" in rows["residual"]
    assert "all networks but vgg16" in rows["epsilon"]


@pytest.mark.parametrize("model", NETWORKS)
def test_the_fields_of_every_network_fit_a_terminal_of_100_columns(model: str) -> None:
    lines = rendered(field_table(variants_of(model)), width=100).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100


def test_a_field_without_an_effect_is_not_listed(tmp_path: Path) -> None:
    listed = {model: {f["name"] for f in variants_of(model)["fields"]} for model in ("vgg16", "resnet50", "xception")}
    assert "epsilon" not in listed["vgg16"]
    assert "dropout" not in listed["resnet50"]
    assert {"epsilon", "dropout"} <= listed["xception"]
    assert "resolution" not in listed["xception"]  # an option of its own


def test_fields_are_those_of_a_network_that_exists(tmp_path: Path) -> None:
    assert "received --fields without a MODEL" in error_of("list", "--fields", cwd=tmp_path, code=2)
    assert "unknown model 'xeption': did you mean xception" in error_of("list", "xeption", cwd=tmp_path, code=2)
