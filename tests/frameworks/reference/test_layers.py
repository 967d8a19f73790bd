"""The reference's layers against SciPy, and against values worked out by hand: no framework is asked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from frameworks.blueprint import Activation, AveragePool, BatchNorm, Conv, Dropout, MaxPool, Padding, Slice
from frameworks.reference import layers
from frameworks.reference.layers import Array

RAMP = np.arange(16.0).reshape(1, 4, 4, 1)  # 0 … 3 in the first row


def image(*values: list[float]) -> Array:
    """Rows of one channel -> (1, H, W, 1)."""
    return np.array(values, np.float64)[None, :, :, None]


def rows(x: Array) -> list[list[float]]:
    """(1, H, W, 1) -> rows."""
    found: list[list[float]] = x[0, :, :, 0].tolist()
    return found


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4), (5, 2)])
def test_a_convolution_without_padding_is_the_sum_of_scipys_correlations_of_channels(kernel: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    x, weights = random.normal(size=(2, 7, 9, 3)), random.normal(size=(*kernel, 3, 4))
    out = layers.conv(Conv("conv", 4, kernel, padding="valid"), x, weights, bias=np.arange(4.0))
    for n in range(2):
        for f in range(4):
            parts = [signal.correlate2d(x[n, :, :, c], weights[:, :, c, f], "valid") for c in range(3)]
            np.testing.assert_allclose(out[n, :, :, f], sum(parts) + f, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "first"),
    [
        (4, 3, 1, "same", 0 + 1 + 2),  # one cell on either side: the window begins outside
        (4, 3, 2, "same", 1 + 2 + 3),  # one cell in all, and that at the end: the window begins inside
        (5, 3, 2, "same", 0 + 1 + 2),
        (4, 2, 1, "same", 1 + 2),
        (4, 3, 2, "symmetric", 0 + 1 + 2),  # as many on either side, whatever the input
        (4, 2, 1, "symmetric", 0 + 1),
        (4, 3, 1, "valid", 1 + 2 + 3),
    ],
)  # fmt: skip
def test_padding_follows_its_rule(
    size: int, kernel: int, stride: int, padding: Padding, first: float
) -> None:
    x = np.arange(1.0, size + 1).reshape(1, 1, size, 1)
    out = layers.conv(Conv("conv", 1, (1, kernel), stride, padding), x, np.ones((1, kernel, 1, 1)))
    assert out[0, 0, 0, 0] == first


def test_a_strided_convolution_takes_every_other_window() -> None:
    identity = np.ones((1, 1, 1, 1))
    assert rows(layers.conv(Conv("conv", 1, (1, 1), 2), RAMP, identity)) == [[0, 2], [8, 10]]
    assert rows(layers.conv(Conv("conv", 1, (1, 1), 3, "valid"), RAMP, identity)) == [[0, 3], [12, 15]]


def test_a_convolution_does_not_flip_its_kernel() -> None:
    out = layers.conv(Conv("conv", 1, (1, 2), padding="valid"), image([1, 10, 100]), np.array([[[[1.0]], [[2.0]]]]))
    assert rows(out) == [[21, 210]]


def test_a_group_sees_its_own_channels_in_order() -> None:
    x = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 1, 4)
    kernel = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]).reshape(1, 1, 2, 4)  # two features to a group
    out = layers.conv(Conv("conv", 4, (1, 1), groups=2), x, kernel)
    assert out.ravel().tolist() == [1 + 50, 2 + 60, 300 + 7000, 400 + 8000]


def test_a_depthwise_convolution_multiplies_each_channel_by_its_own_kernel() -> None:
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(1, 6, 5, 3)), random.normal(size=(3, 3, 1, 3))
    out = layers.conv(Conv("conv", 3, (3, 3), groups=3), x, kernel)
    for c in range(3):
        expected = ndimage.correlate(x[0, :, :, c], kernel[:, :, 0, c], mode="constant")
        np.testing.assert_allclose(out[0, :, :, c], expected, rtol=0, atol=1e-13)


def test_batch_norm_has_epsilon_inside_the_root() -> None:
    layer = BatchNorm("bn", epsilon=5.0, momentum=0.9)
    mean, variance, offset, scale = (np.array([value]) for value in (1.0, 4.0, 10.0, 2.0))
    x = image([1, 4])
    assert rows(layers.batch_norm(layer, x, mean, variance, offset, scale)) == [[10, 12]]
    assert rows(layers.batch_norm(layer, x, mean, variance, offset)) == [[10, 11]]


def test_batch_statistics_are_over_all_but_channels_and_biased() -> None:
    x = np.stack([[[[1.0, 0.0], [3.0, 0.0]]], [[[5.0, 0.0], [7.0, 8.0]]]])  # (2, 1, 2, 2)
    mean, variance = layers.batch_statistics(x)
    assert mean.tolist() == [4, 2]
    assert variance.tolist() == [5, 12]


def test_a_running_statistic_follows_its_momentum_and_variance_rule() -> None:
    biased, unbiased = BatchNorm("bn", 1e-3, 0.75), BatchNorm("bn", 1e-3, 0.75, variance="unbiased")
    assert layers.running_statistic(biased, np.array([4.0]), np.array([8.0])).tolist() == [5]
    assert layers.fresh_variance(biased, np.array([6.0]), 4).tolist() == [6]
    assert layers.fresh_variance(unbiased, np.array([6.0]), 4).tolist() == [8]


def test_activations_at_and_around_zero() -> None:
    x = image([-np.log(2), 0, 3])
    assert rows(layers.activation(Activation("relu"), x)) == [[0, 0, 3]]
    assert rows(layers.activation(Activation("elu", "elu"), x))[0] == pytest.approx([-0.5, 0, 3])


def test_a_padded_cell_is_never_the_maximum_unless_its_value_is_zero() -> None:
    x = -1 - RAMP  # negative throughout
    kept, zero = MaxPool("pool", 3, 2, "same"), MaxPool("pool", 3, 2, "same", pad_value=0.0)
    assert rows(layers.max_pool(kept, x)) == [[-1, -3], [-9, -11]]
    assert rows(layers.max_pool(zero, x)) == [[-1, 0], [0, 0]]
    assert rows(layers.max_pool(MaxPool("pool", 3, 2, "symmetric"), x)) == [[-1, -2], [-5, -6]]
    assert rows(layers.max_pool(MaxPool("pool", 3, 2, "valid"), x)) == [[-1]]


def test_an_average_pool_divides_by_the_cells_inside_or_by_all() -> None:
    x = image([9, 9, 9], [9, 9, 9], [9, 9, 9])
    assert rows(layers.average_pool(AveragePool("pool", 3, "exclude"), x)) == [[9, 9, 9]] * 3
    assert rows(layers.average_pool(AveragePool("pool", 3, "include"), x)) == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    assert rows(layers.average_pool(AveragePool("pool", 2, "exclude", 2, "valid"), RAMP)) == [[2.5, 4.5], [10.5, 12.5]]


def test_global_pooling_and_flattening_keep_the_order_of_rows_columns_and_channels() -> None:
    x = np.arange(12.0).reshape(1, 2, 3, 2)
    assert layers.flatten(x).tolist() == [list(range(12))]
    assert layers.global_average_pool(x).tolist() == [[5, 6]]
    assert layers.channel_slice(Slice("slice", 1, 2), x).shape == (1, 2, 3, 1)
    assert layers.channel_slice(Slice("slice", 1, 2), x)[0, 0, 0, 0] == 1


def test_dropout_divides_what_it_keeps_by_the_probability_of_keeping_it() -> None:
    assert layers.dropout(Dropout("dropout", 0.75), np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]])).tolist() == [[4, 0]]


def test_a_dense_layer_multiplies_rows_by_the_kernels_columns() -> None:
    out = layers.dense(np.array([[1.0, 2.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]]), np.array([0.5, 0.0]))
    assert out.tolist() == [[201.5, 2010]]
