"""Names and shapes follow from the architecture's text."""

from __future__ import annotations

from typing import Any

import pytest

from frameworks.architectures import MODELS, network
from frameworks.blueprint import (
    BatchNorm,
    Branches,
    Conv,
    MaxPool,
    Network,
    Residual,
    Sequence,
    edges,
    infer_shapes,
    min_resolution,
    parameters,
)
from frameworks.errors import InvalidConfiguration, TooSmall, UnknownName


def output_shapes(built: Network, resolution: int | None = None) -> dict[str, tuple[int, ...]]:
    return {placed.path: placed.output_shape for placed in infer_shapes(built, resolution)}


@pytest.mark.parametrize(
    ("resolution", "sizes"),
    [
        (71, (35, 33, 17, 9, 5, 3)),
        (128, (63, 61, 31, 16, 8, 4)),
        (150, (74, 72, 36, 18, 9, 5)),
        (160, (79, 77, 39, 20, 10, 5)),
        (192, (95, 93, 47, 24, 12, 6)),
        (224, (111, 109, 55, 28, 14, 7)),
        (256, (127, 125, 63, 32, 16, 8)),
        (299, (149, 147, 74, 37, 19, 10)),
        (320, (159, 157, 79, 40, 20, 10)),
    ],
)
def test_xception_has_the_published_sizes_at_every_resolution(resolution: int, sizes: tuple[int, ...]) -> None:
    shapes = output_shapes(network("xception"), resolution)
    paths = ("block1.conv1.conv", "block1.conv2.conv", "block2", "block3", "block4", "block13")
    assert tuple(shapes[path][0] for path in paths) == sizes


def test_inception_modules_have_the_published_widths() -> None:
    shapes = output_shapes(network("inception_v3"))
    mixed = {path: shape for path, shape in shapes.items() if path.startswith("mixed") and "." not in path}
    assert [shape[2] for shape in mixed.values()] == [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]
    assert [shape[0] for shape in mixed.values()] == [35, 35, 35, 17, 17, 17, 17, 17, 8, 8, 8]


def test_inception_has_94_convolutions_and_xception_36_with_4_shortcuts() -> None:
    inception = [p for p in infer_shapes(network("inception_v3")) if isinstance(p.layer, Conv)]
    xception = [p for p in infer_shapes(network("xception")) if isinstance(p.layer, Conv)]
    shortcuts = [p for p in xception if "shortcut" in p.path]
    depthwise = [p for p in xception if p.path.endswith("depthwise")]
    assert len(inception) == 94
    assert (len(xception) - len(depthwise) - len(shortcuts), len(depthwise), len(shortcuts)) == (36, 34, 4)


def test_names_are_paths_and_unique() -> None:
    for model in MODELS:
        names = [p.name for p in parameters(network(model))]
        assert len(set(names)) == len(names)
    assert "block5.sepconv2.depthwise.kernel" in [p.name for p in parameters(network("xception"))]


def test_a_depthwise_kernel_is_one_slice_per_channel() -> None:
    shapes = {p.name: p.shape for p in parameters(network("xception"))}
    assert shapes["block5.sepconv2.depthwise.kernel"] == (3, 3, 1, 728)
    assert shapes["block5.sepconv2.pointwise.kernel"] == (1, 1, 728, 728)


def test_the_first_convolution_after_block_1_has_no_relu_before_it() -> None:
    paths = [p.path for p in infer_shapes(network("xception"))]
    assert "block2.sepconv1.relu" not in paths
    assert "block2.sepconv2.relu" in paths
    assert "block3.sepconv1.relu" in paths


@pytest.mark.parametrize(("model", "minimum"), [("xception", 7), ("inception_v3", 75)])
def test_the_minimum_resolution_is_the_one_below_which_a_layer_has_no_output(model: str, minimum: int) -> None:
    assert min_resolution(network(model)) == minimum
    assert network(model, resolution=minimum).input_shape == (minimum, minimum, 3)
    with pytest.raises(InvalidConfiguration, match=f"resolution {minimum - 1} is too small, the minimum is {minimum}"):
        network(model, resolution=minimum - 1)


@pytest.mark.parametrize("model", MODELS)
def test_the_minimum_is_that_of_a_search_from_one_pixel_up(model: str) -> None:
    def fits(resolution: int) -> bool:
        try:
            return bool(infer_shapes(network(model), resolution))
        except TooSmall:
            return False

    assert min_resolution(network(model)) == next(filter(fits, range(1, 100)))


@pytest.mark.parametrize(("size", "expected"), [(147, (1, 1)), (74, (0, 1)), (37, (1, 1)), (10, (0, 1)), (1, (1, 1))])
def test_same_padding_puts_the_odd_cell_last(size: int, expected: tuple[int, int]) -> None:
    assert edges("same", size, window=3, stride=2) == expected


def test_a_strided_pointwise_convolution_is_never_padded() -> None:
    assert all(edges("same", size, window=1, stride=2) == (0, 0) for size in range(1, 50))


def test_symmetric_padding_of_a_pool_does_not_depend_on_its_input() -> None:
    pool = MaxPool("pool", window=3, stride=2, padding="symmetric")
    assert {edges(pool.padding, size, pool.window, pool.stride) for size in (36, 37)} == {(1, 1)}


def test_the_width_multiplier_keeps_multiples_of_eight_and_one_changes_nothing() -> None:
    narrow = [p.layer.features for p in infer_shapes(network("xception", width=0.3)) if isinstance(p.layer, Conv)]
    assert all(features % 8 == 0 for features in narrow)
    assert output_shapes(network("xception", width=1.0)) == output_shapes(network("xception"))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown model 'xceptoin': did you mean xception"):
        network("xceptoin")
    with pytest.raises(UnknownName, match="unknown variant of xception 'narow': did you mean narrow"):
        network("xception", "narow")
    with pytest.raises(UnknownName, match="unknown configuration field of xception 'resoluton': did you mean resol"):
        network("xception", resoluton=100)


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", 0), ("resolution", 0), ("epsilon", 0.0), ("momentum", 1.0), ("dropout", 1.0), ("width", 0.0)],
)
def test_a_value_that_no_network_can_take_is_refused_by_name(field: str, value: float) -> None:
    config: dict[str, Any] = {field: value}
    with pytest.raises(InvalidConfiguration, match=f"{field} is {value}, expected"):
        network("xception", **config)


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    layers = (Conv("conv", 8, (3, 3), groups=2),)
    with pytest.raises(InvalidConfiguration, match="3 input and 8 output channels do not split into 2 groups"):
        infer_shapes(Network("n", "v", None, (9, 9, 3), layers))


def test_shapes_that_cannot_be_joined_are_refused_with_both() -> None:
    widening = Residual("block", (Conv("conv", 8, (1, 1)),))
    with pytest.raises(InvalidConfiguration, match=r"block: a shortcut of shape \(9, 9, 3\) does not fit a body"):
        infer_shapes(Network("n", "v", None, (9, 9, 3), (widening,)))
    unlike = Branches("b", (Sequence("a", ()), Sequence("c", (Conv("conv", 3, (3, 3), padding="valid"),))))
    with pytest.raises(InvalidConfiguration, match="b: branches of unlike sizes"):
        infer_shapes(Network("n", "v", None, (9, 9, 3), (unlike,)))


def test_batch_norm_scale_is_a_parameter_only_where_it_is_asked_for() -> None:
    with_scale = [p for p in parameters(network("inception_v3", batch_norm_scale=True)) if p.role == "scale"]
    without = [p for p in parameters(network("inception_v3")) if p.role == "scale"]
    norms = [p for p in infer_shapes(network("inception_v3")) if isinstance(p.layer, BatchNorm)]
    assert (len(with_scale), len(without)) == (len(norms), 0)
