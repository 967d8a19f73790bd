"""Rewrites change the network and its weights, never what it computes."""

from __future__ import annotations

import numpy as np
import pytest

from frameworks.architectures import network
from frameworks.blueprint import BatchNorm, Conv, Network, infer_shapes, parameters
from frameworks.rewrites import fold_batch_norm, merge_branches
from frameworks.weights import Array, check, initial


@pytest.mark.parametrize("model", ["xception", "inception_v3", "resnet50"])
def test_folding_leaves_no_batch_norm_and_gives_every_convolution_before_one_a_bias(model: str) -> None:
    built = network(model, "narrow", resolution=75)
    folded, weights = fold_batch_norm(built, initial(built))
    layers = [p.layer for p in infer_shapes(folded)]
    assert not any(isinstance(layer, BatchNorm) for layer in layers)
    assert sum(isinstance(layer, Conv) and layer.bias for layer in layers) == sum(
        isinstance(p.layer, BatchNorm) for p in infer_shapes(built)
    )
    check(folded, weights)


@pytest.mark.parametrize(
    ("model", "variant"),
    [
        ("xception", "narrow"),
        ("xception", "narrow+segments_3"),
        ("xception", "narrow+pointwise_first+elu_between"),
        ("inception_v3", "narrow"),
        ("inception_v3", "narrow+keras_2016"),
        ("resnet50", "narrow"),
        ("resnet50", "narrow+torchvision"),
    ],
)
def test_a_folded_network_computes_the_same(model: str, variant: str) -> None:
    import torch

    from frameworks.pytorch import build

    built = network(model, variant, resolution=75)
    weights = initial(built)
    folded, folded_weights = fold_batch_norm(built, weights)
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 75, 75)))
    with torch.no_grad():
        plain = build(built, weights=weights, precision="fp64")(x)
        rewritten = build(folded, weights=folded_weights, precision="fp64")(x)
    assert torch.max((plain - rewritten).abs()) / plain.abs().max() < 1e-12


@pytest.mark.parametrize(("variant", "modules"), [("narrow", 9), ("narrow+torchvision", 0)])
def test_merged_modules_compute_the_same(variant: str, modules: int) -> None:
    """All nine modules that keep the size are merged, unless a pool averages the border, which a bias would change."""
    import torch

    from frameworks.pytorch import build

    folded, weights = fold_batch_norm(*with_weights("inception_v3", variant))
    before = dict(weights)
    merged, merged_weights = merge_branches(folded, weights)
    assert sum(p.path.endswith(".merged") for p in infer_shapes(merged)) == modules
    check(merged, merged_weights)
    assert weights.keys() == before.keys()
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 75, 75)))
    with torch.no_grad():
        plain = build(folded, weights=weights, precision="fp64")(x)
        rewritten = build(merged, weights=merged_weights, precision="fp64")(x)
    assert torch.max((plain - rewritten).abs()) / plain.abs().max() < 1e-12


def with_weights(model: str, variant: str) -> tuple[Network, dict[str, Array]]:
    built = network(model, variant, resolution=75)
    return built, initial(built)


def test_folding_does_not_change_its_input() -> None:
    built = network("xception", "narrow", resolution=71)
    weights = initial(built)
    before = {name: array.copy() for name, array in weights.items()}
    fold_batch_norm(built, weights)
    assert set(weights) == set(before)
    assert all(np.array_equal(weights[name], before[name]) for name in before)


def test_a_batch_norm_after_an_activation_stays() -> None:
    built = network("inception_v3", "narrow+keras_2016", resolution=75)
    folded, weights = fold_batch_norm(built, initial(built))
    assert sum(isinstance(p.layer, BatchNorm) for p in infer_shapes(folded)) == 94
    assert set(weights) == {p.name for p in parameters(folded)}


def test_folding_drops_the_auxiliary_classifier_and_its_weights() -> None:
    built = network("inception_v3", "narrow+auxiliary")
    folded, weights = fold_batch_norm(built, initial(built))
    assert folded.auxiliary is None
    assert not any(name.startswith("auxiliary.") for name in weights)
