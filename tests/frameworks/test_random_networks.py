"""Random small networks: every framework computes what the reference computes, and the blueprint's own rules hold.

The frameworks and the reference agree in float64, in inference and in a training-mode forward (batch statistics, what
becomes of the running ones, dropout, the auxiliary classifier). Every run draws the same networks.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, find, given, note, settings

from frameworks import blueprint
from frameworks.api import FRAMEWORKS, Verifiable, load
from frameworks.blueprint import BatchNorm, Conv, Network, infer_shapes, parameters
from frameworks.cost import cost
from frameworks.reference import build
from frameworks.reference import program as reference
from frameworks.rewrites import fold_batch_norm, merge_branches
from tests.frameworks.layer_mistakes import MISTAKES, make
from tests.frameworks.random_networks import (
    describe,
    deviation,
    ends,
    inputs,
    networks,
    trains_differently,
    worst_deviation,
)

TOLERANCE: Final = 1e-12
NETWORKS_KEPT: Final = 50
COUNT: Final = itertools.count(1)
REPRODUCIBLE: Final[dict[str, Any]] = {
    "deadline": None,  # a framework's first network takes seconds
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate, Phase.shrink),
    "suppress_health_check": (HealthCheck.too_slow,),
}


def deviations(framework: str, network: Network) -> dict[str, float]:
    """The framework's largest deviation from the reference, in inference and, where that differs, in training mode."""
    found = {}
    given = inputs(network)
    modes = {"inference": None, "training": given.masks} if trains_differently(network) else {"inference": None}
    for mode, masks in modes.items():
        implementation = load(framework)
        assert isinstance(implementation, Verifiable)
        left = implementation.outputs(network, given.weights, "fp64", given.images, masks)
        right = reference.outputs(network, given.weights, "fp64", given.images, masks)
        worst, where = worst_deviation(left, right)
        found[f"{framework}, {mode}, {where}"] = worst
    return found


def agrees(network: Network) -> None:
    note(describe(network))
    if next(COUNT) % NETWORKS_KEPT == 0:
        import jax

        jax.clear_caches()  # or what XLA compiled for every network stays in memory
    for framework in FRAMEWORKS:
        for where, found in deviations(framework, network).items():
            assert found <= TOLERANCE, where


@settings(max_examples=200, **REPRODUCIBLE)
@given(networks())
def test_every_framework_computes_200_random_networks_as_the_reference_does(network: Network) -> None:
    agrees(network)


# Four times 500, so that two processes share them.
@pytest.mark.longest
@pytest.mark.slow
@settings(max_examples=500, **REPRODUCIBLE)
@given(networks())
def test_every_framework_computes_the_first_500_of_2000_alike(network: Network) -> None:
    agrees(network)


@pytest.mark.longest
@pytest.mark.slow
@settings(max_examples=500, **REPRODUCIBLE)
@given(networks())
def test_every_framework_computes_the_second_500_of_2000_alike(network: Network) -> None:
    agrees(network)


@pytest.mark.longest
@pytest.mark.slow
@settings(max_examples=500, **REPRODUCIBLE)
@given(networks())
def test_every_framework_computes_the_third_500_of_2000_alike(network: Network) -> None:
    agrees(network)


@pytest.mark.longest
@pytest.mark.slow
@settings(max_examples=500, **REPRODUCIBLE)
@given(networks())
def test_every_framework_computes_the_last_500_of_2000_alike(network: Network) -> None:
    agrees(network)


@settings(max_examples=200, **REPRODUCIBLE)
@given(networks())
def test_shapes_and_parameters_are_inferred_as_they_are_computed(network: Network) -> None:
    note(describe(network))
    given = inputs(network)
    blocks = reference.outputs(network, given.weights, "fp64", given.images)
    assert [blocks[layer.name].shape[1:] for layer in network.layers] == ends(network.input_shape, network.layers)
    costs = cost(network)
    known = parameters(network)
    assert costs.parameters_total == sum(array.size for array in given.weights.values())
    assert costs.parameters_trainable == sum(given.weights[p.name].size for p in known if p.trainable)
    assert [(layer.name, layer.output_shape) for layer in costs.layers] == [
        (p.path, p.output_shape) for p in infer_shapes(network)
    ]


@settings(max_examples=40, **REPRODUCIBLE)
@given(networks())
def test_weights_come_out_of_every_framework_under_their_canonical_names(network: Network) -> None:
    note(describe(network))
    weights = inputs(network).weights
    for framework in (*FRAMEWORKS, "reference"):
        package = __import__(f"frameworks.{framework}", fromlist=["build"])
        found = package.build(network, weights=weights, precision="fp64").weights()
        assert found.keys() == weights.keys(), framework
        assert all(np.array_equal(found[name], weights[name]) for name in weights), framework


@settings(max_examples=200, **REPRODUCIBLE)
@given(networks())
def test_folding_batch_norm_keeps_the_output(network: Network) -> None:
    note(describe(network))
    given = inputs(network)
    folded, weights = fold_batch_norm(network, given.weights)
    assert not any(
        isinstance(left.layer, Conv) and isinstance(right.layer, BatchNorm) and _siblings(left.path, right.path)
        for left, right in zip(infer_shapes(folded), infer_shapes(folded)[1:], strict=False)
    )
    kept = build(network, weights=given.weights)(given.images)
    assert deviation(build(folded, weights=weights)(given.images), kept) <= TOLERANCE


@settings(max_examples=200, **REPRODUCIBLE)
@given(networks())
def test_merging_branches_keeps_the_output(network: Network) -> None:
    note(describe(network))
    given = inputs(network)
    merged, weights = merge_branches(network, given.weights)
    event("merged" if merged != network else "nothing to merge")
    kept = build(network, weights=given.weights)(given.images)
    assert deviation(build(merged, weights=weights)(given.images), kept) <= TOLERANCE


def test_random_networks_have_branches_to_merge() -> None:
    def merges(network: Network) -> bool:
        return merge_branches(network, inputs(network).weights)[0] != network

    find(networks(), merges, settings=settings(max_examples=200, **(REPRODUCIBLE | {"phases": (Phase.generate,)})))


def _siblings(left: str, right: str) -> bool:
    return left.rpartition(".")[0] == right.rpartition(".")[0]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_any_kind_of_layer_is_found_within_200_networks(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(mistake, monkeypatch)
    simplest_deviating_network((Phase.generate,))


def test_a_deviation_is_reported_with_the_simplest_network_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make("an average pool that counts its border", monkeypatch)
    found = simplest_deviating_network((Phase.generate, Phase.shrink))
    (pool,) = found.layers
    assert describe(pool) == f"AveragePool(name='{pool.name}', window=3, border='exclude')"
    assert eval(describe(found), vars(blueprint)) == found


def simplest_deviating_network(phases: tuple[Phase, ...]) -> Network:
    """Return a network, of 200, in which PyTorch deviates from the reference; raise NoSuchExample if there is none."""
    return find(
        networks(),
        lambda network: max(deviations("pytorch", network).values()) > TOLERANCE,
        settings=settings(max_examples=200, **(REPRODUCIBLE | {"phases": phases})),
    )
