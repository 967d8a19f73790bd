from __future__ import annotations

import pytest

from frameworks.cost import attainable_s, layer_s


def test_a_layers_minimum_time_is_the_longer_of_arithmetic_and_memory_traffic() -> None:
    assert layer_s(flops=200, bytes_moved=10, peak_flops_per_s=100, bytes_per_s=10) == 2.0
    assert layer_s(flops=200, bytes_moved=50, peak_flops_per_s=100, bytes_per_s=10) == 5.0


def test_a_networks_minimum_time_is_the_sum_over_its_layers() -> None:
    assert attainable_s([(200, 10), (200, 50), (0, 10)], 100, 10) == 8.0
    assert attainable_s([], 100, 10) == 0


@pytest.mark.parametrize("ceilings", [(0, 10), (100, 0), (-1, 10)])
def test_a_ceiling_that_is_not_above_zero_is_an_error(ceilings: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="ceilings above 0, received"):
        attainable_s([(1, 1)], *ceilings)
