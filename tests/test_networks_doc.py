"""docs/networks.md contains the counts of the registered networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from frameworks.architectures import MODELS, OPERATORS, network
from frameworks.cost import cost

TEXT = (Path(__file__).parents[1] / "docs/networks.md").read_text()
SECTIONS = {"xception": TEXT.split("## Xception")[1], "inception_v3": TEXT.split("## Inception V3")[1]}
ROW = re.compile(r"^\| (`[^|]+) \|.*\| ([\d,]+) \| ([\d,]+) \|$", re.MULTILINE)


@pytest.mark.parametrize("model", SECTIONS)
def test_every_variant_is_listed_with_its_counts(model: str) -> None:
    listed = {
        name.strip("` "): (int(parameters.replace(",", "")), int(macs.replace(",", "")))
        for names, parameters, macs in ROW.findall(SECTIONS[model].split("\n## ")[0])
        for name in names.split(",")
    }
    counted = {name: cost(network(model, name)) for name in MODELS[model].variants}
    assert listed == {name: (found.parameters_trainable, found.macs) for name, found in counted.items()}


def test_comparators_are_listed_in_both_variants() -> None:
    for depth in (50, 101, 152):
        variants = [cost(network(f"resnet{depth}", variant)) for variant in ("default", "torchvision")]
        cells = " | ".join(f"{found.parameters_trainable:,} · {found.macs:,}" for found in variants)
        assert f"| `resnet{depth}` | {cells} |" in TEXT


def test_vgg16_is_listed() -> None:
    found = cost(network("vgg16"))
    assert f"| `vgg16` | {found.parameters_trainable:,} · {found.macs:,} | |" in TEXT


def test_every_operator_and_shape_is_explained() -> None:
    assert all(f"`{name}`" in TEXT for name in OPERATORS)
    assert all(f"`{name}`" in TEXT for name in OPERATORS["separable"].variants)
