"""The roofline of a network: the minimum time of each layer from a run's measured ceilings."""

from __future__ import annotations

import msgspec
import pytest

from frameworks.architectures import network
from frameworks.cost import cost
from tests.builders import calibration
from xibench.analysis.costs import roofline
from xibench.errors import InputError

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
