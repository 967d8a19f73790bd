"""The roofline of a network: the minimum time of each layer from a run's measured ceilings."""

from __future__ import annotations

import msgspec
import pytest

from frameworks.architectures import MODELS, network
from frameworks.cost import NetworkCost, cost
from tests.builders import calibration, failure, measured, process, run_of, small_case
from xibench.analysis.costs import Attained, attained_in, block_costs, bytes_fused, roofline
from xibench.errors import InputError
from xibench.record.schema import Case, Record

PEAK, BANDWIDTH = 12e9, 1e9  # ceilings of tests.builders.calibration in fp32: FLOP/s and bytes/s


def test_each_layer_is_bound_by_the_slower_of_arithmetic_and_memory() -> None:
    roof = roofline(cost(network("xception")), calibration())
    layers = {layer.name: layer for layer in roof.layers}
    pointwise, depthwise = layers["block5.sepconv1.pointwise"], layers["block5.sepconv1.depthwise"]
    assert (pointwise.bound, depthwise.bound) == ("compute", "memory")
    assert pointwise.attainable_s == 2 * 728 * 728 * 19 * 19 / PEAK
    assert depthwise.attainable_s == 4 * (2 * 728 * 19 * 19 + 9 * 728) / BANDWIDTH
    assert (layers["block5.sepconv1.bn"].bound, layers["block5.sepconv1.bn"].attainable_s) == ("fused", 0)


def test_the_time_of_a_network_is_the_sum_over_its_layers_and_fusion_reduces_it() -> None:
    roof = roofline(cost(network("xception"), batch=8), calibration())
    assert roof.attainable_s == pytest.approx(sum(max(r.flops / PEAK, r.bytes_moved / BANDWIDTH) for r in roof.layers))
    assert roof.attainable_s < roof.as_written_s
    assert len(roof.layers) == len(cost(network("xception")).layers)


def test_the_arithmetic_ceiling_is_that_of_the_precision() -> None:
    in_bf16 = roofline(cost(network("xception"), precision="bf16"), calibration())
    assert (in_bf16.peak_flops_per_s, in_bf16.bytes_per_s) == (6e9, BANDWIDTH)


def test_a_run_without_the_ceilings_is_refused_with_the_cure() -> None:
    costs = cost(network("xception"), precision="fp64")
    with pytest.raises(InputError, match="xception: the run has no matmul in fp64; name a run that measured ceilings"):
        roofline(costs, calibration())
    for without_ceilings in (None, msgspec.structs.replace(calibration(), copies=[])):
        with pytest.raises(InputError, match="the run has no ceilings"):
            roofline(costs, without_ceilings)


SUMS = {  # a field of the network: that of its blocks
    "parameters_trainable": "parameters_trainable", "parameters_total": "parameters", "macs": "macs",
    "elementwise": "elementwise", "activations": "activations", "bytes_moved": "bytes_moved",
    "bytes_fused": "bytes_fused",
}  # fmt: skip
NETWORKS = [
    *((model, variant, None) for model in ("xception", "inception_v3") for variant in MODELS[model].variants),
    *((model, "default", pixels) for model in ("xception", "inception_v3") for pixels in (96, 224)),
    *((operator, "default", None) for operator in ("separable", "grouped", "inception_extreme")),
    ("resnet50", "narrow", 64), ("xception", "segments_4+width=0.5", 71),
]  # fmt: skip


@pytest.mark.parametrize(("model", "variant", "pixels"), NETWORKS)
def test_the_blocks_add_up_to_the_network(model: str, variant: str, pixels: int | None) -> None:
    fields = {} if pixels is None else {"resolution": pixels}
    costs = cost(network(model, variant, **fields), batch=3, precision="bf16")
    blocks = block_costs(costs)
    for of_network, of_block in SUMS.items():
        assert sum(getattr(block, of_block) for block in blocks) == getattr(costs, of_network), of_network
    assert all(sum(block.macs_by_kind.values()) == block.macs for block in blocks)

    roof = roofline(costs, calibration())
    assert [block.name for block in roof.blocks] == [block.name for block in blocks if block.name != "auxiliary"]
    assert sum(block.attainable_s for block in roof.blocks) == pytest.approx(roof.attainable_s, rel=1e-12)
    assert sum(block.share for block in roof.blocks) == pytest.approx(1)
    assert sum(block.flops for block in roof.blocks) == 2 * costs.macs
    assert sum(block.bytes_moved for block in roof.blocks) == costs.bytes_fused


@pytest.mark.parametrize(("model", "variant", "pixels"), NETWORKS)
def test_times_are_computed_from_the_bytes_beside_them(model: str, variant: str, pixels: int | None) -> None:
    fields = {} if pixels is None else {"resolution": pixels}
    costs = cost(network(model, variant, **fields))
    roof, counted = roofline(costs, calibration()), {layer.name: layer for layer in costs.layers}
    for layer in roof.layers:
        assert layer.bytes_moved == counted[layer.name].bytes_fused
        assert layer.attainable_s == max(layer.flops / PEAK, layer.bytes_moved / BANDWIDTH)
    assert all(block.bytes_fused <= block.bytes_moved for block in block_costs(costs))
    intensity = 2 * costs.macs / bytes_fused(model, variant, costs.resolution, 1, "fp32")
    assert 2 * costs.macs / roof.attainable_s <= min(PEAK, intensity * BANDWIDTH) * (1 + 1e-9), "above the roof"


def test_a_block_is_bound_by_what_bounds_the_layers_that_take_most_of_its_time() -> None:
    blocks = {block.name: block for block in roofline(cost(network("xception"), batch=8), calibration()).blocks}
    layers = roofline(cost(network("xception"), batch=8), calibration()).layers
    own = [layer for layer in layers if layer.name.startswith("block4")]
    compute_s = sum(layer.attainable_s for layer in own if layer.bound == "compute")
    assert blocks["block4"].bound == "compute"
    assert blocks["block4"].bound_share == pytest.approx(compute_s / blocks["block4"].attainable_s)
    assert 0.5 < blocks["block4"].bound_share < 1
    assert (blocks["head"].bound, blocks["head"].bound_share) == ("memory", 1)


def test_the_auxiliary_classifier_is_a_block_with_parameters_and_without_work_in_inference() -> None:
    *_, auxiliary = block_costs(cost(network("inception_v3", "auxiliary")))
    assert auxiliary.name == "auxiliary"
    assert auxiliary.parameters == 3_327_592
    assert (auxiliary.macs, auxiliary.elementwise, auxiliary.bytes_moved, auxiliary.bytes_fused) == (0, 0, 0, 0)


def taken(**fields: object) -> Record:
    return measured(msgspec.structs.replace(small_case(batch=8), **fields), process([0.2, 0.2, 0.2]))


def test_what_a_run_measured_of_the_same_network_is_beside_its_roofline_and_nothing_else_is() -> None:
    others = [
        taken(batch=4), taken(precision="bf16"), taken(model="inception_v3"), taken(variant="default"),
        taken(resolution=224), taken(scenario="single-stream"),
    ]  # fmt: skip
    failed = failure(msgspec.structs.replace(small_case(batch=8), framework="tensorflow"))
    mine = taken(recipe="tuned")
    run = run_of(*others, failed, mine)
    costs = costs_of(mine.case)
    assert mine.costs.attainable_s
    assert attained_in(run, costs) == (Attained("pytorch", "tuned", 0.2, mine.costs.attainable_s / 0.2),)
    assert roofline(costs, calibration()).measured == ()


def costs_of(case: Case) -> NetworkCost:
    return cost(network(case.model, case.variant, resolution=case.resolution), batch=case.batch)
