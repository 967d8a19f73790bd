"""What a run's ceilings allow each layer."""

from __future__ import annotations

import msgspec
import pytest

from frameworks.architectures import network
from frameworks.cost import cost
from tests.builders import calibration
from xibench.analysis.costs import roofline
from xibench.errors import InputError

PEAK, BANDWIDTH = 12e9, 1e9  # of the builder's run, in fp32


def test_a_layer_is_bound_by_arithmetic_or_by_memory_whichever_takes_longer() -> None:
    roof = roofline(cost(network("xception")), calibration())
    layers = {layer.name: layer for layer in roof.layers}
    pointwise, depthwise = layers["block5.sepconv1.pointwise"], layers["block5.sepconv1.depthwise"]
    assert (pointwise.bound, depthwise.bound) == ("compute", "memory")
    assert pointwise.attainable_s == 2 * 728 * 728 * 19 * 19 / PEAK
    assert depthwise.attainable_s == 4 * (2 * 728 * 19 * 19 + 9 * 728) / BANDWIDTH
    assert (layers["block5.sepconv1.bn"].bound, layers["block5.sepconv1.bn"].attainable_s) == ("fused", 0)


def test_a_networks_time_is_the_sum_of_its_layers_and_fusing_saves_some() -> None:
    roof = roofline(cost(network("xception"), batch=8), calibration())
    assert roof.attainable_s == pytest.approx(sum(max(r.flops / PEAK, r.bytes_moved / BANDWIDTH) for r in roof.layers))
    assert roof.attainable_s < roof.as_written_s
    assert len(roof.layers) == len(cost(network("xception")).layers)


def test_the_ceiling_is_that_of_the_precision() -> None:
    narrow = roofline(cost(network("xception"), precision="bf16"), calibration())
    assert (narrow.peak_flops_per_s, narrow.bytes_per_s) == (6e9, BANDWIDTH)


def test_a_run_without_the_ceiling_is_refused_with_what_would_do() -> None:
    costs = cost(network("xception"), precision="fp64")
    with pytest.raises(InputError, match="xception: the run has no matrix product in fp64; name a run that was taken"):
        roofline(costs, calibration())
    for lacking in (None, msgspec.structs.replace(calibration(), copies=[])):
        with pytest.raises(InputError, match="the run has no ceilings"):
            roofline(costs, lacking)
