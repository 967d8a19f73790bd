"""Operators by themselves: their costs, and that the paper's equivalent figures are equivalent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frameworks.api import FRAMEWORKS, Verifiable, load
from frameworks.architectures import OPERATORS, network
from frameworks.blueprint import Network, parameters
from frameworks.cost import cost
from frameworks.weights import initial

Arrays = dict[str, NDArray[np.floating[Any]]]
SMALL = "channels=12+features=12+segments=3"


@pytest.mark.parametrize(
    ("operator", "weights", "macs"),
    [
        ("regular", 9 * 728**2, 9 * 728**2 * 361),
        ("spatially_separable", 6 * 728**2, 6 * 728**2 * 361),
        ("depthwise", 6_552, 2_365_272),
        ("pointwise", 529_984, 191_324_224),
        ("separable", 536_536, 193_689_496),
        ("grouped", 9 * 728**2 // 4, 9 * 728**2 // 4 * 361),
        ("inception_segments", 2_119_942, 361 * 2_119_942),
        ("inception_simplified", 2_119_942, 361 * 2_119_942),
        ("inception_extreme", 536_536, 193_689_496),
    ],
)
def test_an_operator_costs_what_its_text_says(operator: str, weights: int, macs: int) -> None:
    found = cost(network(operator))
    assert (found.parameters_total, found.macs) == (weights, macs)


def test_figures_in_four_segments_cost_what_a_layer_of_the_spectrum_does() -> None:
    for operator in ("inception_segments", "inception_simplified"):
        found = cost(network(operator, "segments=4"))
        assert (found.parameters_total, found.macs) == (1_722_448, 621_803_728)


def test_an_operator_without_segments_takes_any_number_of_channels() -> None:
    assert cost(network("depthwise", "channels=3+features=3")).parameters_total == 27


def test_shapes_are_those_of_the_network_that_they_are_named_after() -> None:
    inside = {layer.name: layer for layer in cost(network("xception")).layers}
    places = {
        "entry_64_128": "block2.sepconv1", "entry_128_128": "block2.sepconv2", "entry_128_256": "block3.sepconv1",
        "entry_256_256": "block3.sepconv2", "entry_256_728": "block4.sepconv1", "entry_728_728": "block4.sepconv2",
        "middle_728_728": "block8.sepconv1", "exit_728_1024": "block13.sepconv2",
        "exit_1024_1536": "block14.sepconv1", "exit_1536_2048": "block14.sepconv2",
    }  # fmt: skip
    modules = {"mixed_35_288": "mixed_5d", "mixed_17_768": "mixed_6b", "mixed_8_2048": "mixed_7c"}
    assert set(places) | set(modules) | {"default"} == set(OPERATORS["separable"].variants)
    theirs = cost(network("inception_v3")).layers
    for variant, module in modules.items():
        entering = next(layer for layer in theirs if layer.name.startswith(module))
        assert network("inception", variant).input_shape == entering.input_shape
    for variant, block in places.items():
        alone = {layer.name.rpartition(".")[2]: layer for layer in cost(network("separable", variant)).layers}
        for part in ("depthwise", "pointwise"):
            there = inside[f"{block}.{part}"]
            assert (alone[part].input_shape, alone[part].macs) == (there.input_shape, there.macs)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_figures_2_and_3_of_the_paper_are_the_same_function(framework: str) -> None:
    """One large 1 x 1 whose output is split is the 1 x 1 convolutions of the branches side by side."""
    apart, together = network("inception_simplified", SMALL), network("inception_segments", SMALL)
    weights = initial(apart)
    names = [f"inception_simplified.module.branch{i}" for i in (1, 2, 3)]
    joined: Arrays = {
        "inception_segments.pointwise.kernel": np.concatenate([weights[f"{n}.conv1.kernel"] for n in names], axis=3),
        **{
            f"inception_segments.module.branch{i}.conv.kernel": weights[f"{n}.conv2.kernel"]
            for i, n in enumerate(names, 1)
        },
    }
    np.testing.assert_allclose(
        _run(framework, apart, weights), _run(framework, together, joined), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_as_many_segments_as_channels_are_the_extreme_inception_module(framework: str) -> None:
    segments = network("inception_segments", "channels=12+features=12+segments=12")
    extreme = network("inception_extreme", "channels=12+features=12")
    weights = initial(segments)
    kernels = [weights[f"inception_segments.module.branch{i}.conv.kernel"] for i in range(1, 13)]
    joined: Arrays = {
        "inception_extreme.pointwise.kernel": weights["inception_segments.pointwise.kernel"],
        "inception_extreme.depthwise.kernel": np.concatenate(kernels, axis=3),
    }
    np.testing.assert_allclose(
        _run(framework, segments, weights), _run(framework, extreme, joined), rtol=1e-5, atol=1e-5
    )


def test_every_operator_has_the_shapes_of_all_and_weights_of_its_own() -> None:
    for name, model in OPERATORS.items():
        assert {"default", "entry_64_128", "middle_728_728", "exit_1536_2048"} <= set(model.variants)
        assert all(parameter.name.startswith(f"{name}.") for parameter in parameters(network(name)))


def _run(framework: str, built: Network, weights: Any) -> NDArray[np.floating[Any]]:
    batch = np.random.default_rng(0).standard_normal((2, *built.input_shape)).astype(np.float32)
    implementation = load(framework)
    assert isinstance(implementation, Verifiable)
    return implementation.outputs(built, weights, "fp32", batch)[built.name]
