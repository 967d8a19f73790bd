"""Costs agree with the published tables to the unit: FACTS sections 0, 1.2, 1.3, 2.2, 2.3, 6.2."""

from __future__ import annotations

import pytest

from frameworks.architectures import network
from frameworks.blueprint import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAveragePool,
    Network,
    Residual,
)
from frameworks.cost import ITEM_BYTES, LayerCost, NetworkCost, cost, roofline_layers
from frameworks.errors import Unsupported
from frameworks.task import INFER

XCEPTION_BLOCKS = {  # block: trainable, non-trainable, MACs at 299
    "block1": (19_488, 192, 417_478_752),
    "block2": (35_264, 768, 613_262_528),
    "block3": (136_064, 1_536, 602_097_152),
    "block4": (915_944, 4_368, 1_060_088_600),
    **{f"block{i}": (1_613_976, 4_368, 581_068_488) for i in range(5, 13)},
    "block13": (2_039_584, 5_552, 539_717_360),
    "block14": (4_748_800, 7_168, 474_163_200),
    "head": (2_049_000, 0, 2_048_000),
}
INCEPTION_BLOCKS = {  # block: trainable without batch-norm scale, total, trainable with scale, MACs at 299
    "conv_1a_3x3": (896, 960, 928, 19_181_664),
    "conv_2a_3x3": (9_248, 9_312, 9_280, 199_148_544),
    "conv_2b_3x3": (18_496, 18_624, 18_560, 398_297_088),
    "pool_3a_3x3": (0, 0, 0, 0),
    "conv_3b_1x1": (5_200, 5_360, 5_280, 27_284_480),
    "conv_4a_3x3": (138_432, 138_816, 138_624, 696_867_840),
    "pool_5a_3x3": (0, 0, 0, 0),
    "mixed_5b": (255_440, 256_368, 255_904, 312_345_600),
    "mixed_5c": (276_976, 277_968, 277_472, 338_688_000),
    "mixed_5d": (284_656, 285_648, 285_152, 348_096_000),
    "mixed_6a": (1_152_640, 1_153_920, 1_153_280, 401_937_408),
    "mixed_6b": (1_295_872, 1_298_944, 1_297_408, 374_063_104),
    "mixed_6c": (1_689_280, 1_692_736, 1_691_008, 487_702_528),
    "mixed_6d": (1_689_280, 1_692_736, 1_691_008, 487_702_528),
    "mixed_6e": (2_140_032, 2_143_872, 2_141_952, 617_914_368),
    "mixed_7a": (1_697_024, 1_699_584, 1_698_304, 291_004_416),
    "mixed_7b": (5_041_344, 5_047_872, 5_044_608, 322_437_120),
    "mixed_7c": (6_073_536, 6_080_064, 6_076_800, 388_497_408),
    "head": (2_049_000, 2_049_000, 2_049_000, 2_048_000),
}


def by_block(costs: NetworkCost) -> dict[str, list[LayerCost]]:
    blocks: dict[str, list[LayerCost]] = {}
    for layer in costs.layers:
        blocks.setdefault(layer.name.split(".")[0], []).append(layer)
    return blocks


def test_xceptions_cost_agrees_with_the_table_block_by_block() -> None:
    found = {
        name: (
            sum(layer.parameters_trainable for layer in layers),
            sum(layer.parameters - layer.parameters_trainable for layer in layers),
            sum(layer.macs for layer in layers),
        )
        for name, layers in by_block(cost(network("xception"))).items()
    }
    assert found == XCEPTION_BLOCKS


def test_inceptions_cost_agrees_with_the_table_block_by_block() -> None:
    plain = by_block(cost(network("inception_v3")))
    scaled = by_block(cost(network("inception_v3", "batch_norm_scale")))
    found = {
        name: (
            sum(layer.parameters_trainable for layer in layers),
            sum(layer.parameters for layer in layers),
            sum(layer.parameters_trainable for layer in scaled[name]),
            sum(layer.macs for layer in layers),
        )
        for name, layers in plain.items()
    }
    assert found == INCEPTION_BLOCKS


@pytest.mark.parametrize(
    ("model", "variant", "trainable", "total", "macs_299", "macs_224"),
    [
        ("xception", "default", 22_855_952, 22_910_480, 8_357_403_496, 4_552_879_072),
        ("inception_v3", "default", 23_817_352, 23_851_784, 5_713_216_096, 2_837_921_120),
        ("inception_v3", "batch_norm_scale", 23_834_568, 23_869_000, 5_713_216_096, 2_837_921_120),
    ],
)
def test_totals_agree_to_the_unit(
    model: str, variant: str, trainable: int, total: int, macs_299: int, macs_224: int
) -> None:
    built = network(model, variant)
    costs = cost(built)
    assert (costs.parameters_trainable, costs.parameters_total, costs.macs) == (trainable, total, macs_299)
    assert cost(built, resolution=224).macs == macs_224


def test_xceptions_macs_split_into_the_published_kinds() -> None:
    layers = cost(network("xception")).layers
    shortcuts = sum(layer.macs for layer in layers if "shortcut" in layer.name)
    assert sum(layer.macs for layer in layers if layer.kind == "depthwise") == 132_190_344
    assert sum(layer.macs for layer in layers if layer.kind == "pointwise") - shortcuts == 7_574_141_568
    assert shortcuts == 231_544_832
    assert sum(layer.macs for layer in layers if layer.kind == "conv") == 417_478_752


def test_single_layers_of_the_table() -> None:
    macs = {layer.name: layer.macs for layer in cost(network("xception")).layers}
    assert macs["block4.sepconv1.depthwise"] == 3_154_176
    assert macs["block4.sepconv1.pointwise"] == 255_137_792
    assert macs["block13.sepconv2.pointwise"] == 269_115_392
    assert macs["block13.shortcut.conv"] == 74_547_200
    inception = {layer.name: layer for layer in cost(network("inception_v3")).layers}
    assert inception["mixed_6e.branch7x7dbl.conv5.conv"].macs == 74_575_872
    assert inception["mixed_7b.branch3x3.conv2.b.conv"].parameters == 442_368
    assert inception["mixed_7c.branch_pool.conv1.conv"].macs == 25_165_824


@pytest.mark.parametrize(("model", "millions"), [("xception", 35.83), ("inception_v3", 8.97)])
def test_activations_agree_with_the_published_millions(model: str, millions: float) -> None:
    assert round(cost(network(model)).activations / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("model", "batch_norm", "pooled"), [("xception", 42_274_304, 204_800), ("inception_v3", 17_934_976, 131_072)]
)
def test_element_wise_work_explains_what_fvcore_adds(model: str, batch_norm: int, pooled: int) -> None:
    """Two operations per batch-norm output and one per input of the global pool: FACTS 1.3 and 2.3."""
    layers = cost(network(model)).layers
    assert sum(layer.elementwise for layer in layers if layer.kind == "batch_norm") == batch_norm
    assert sum(layer.elementwise for layer in layers if layer.kind == "global_average_pool") == pooled


def test_a_batch_multiplies_work_but_not_parameters() -> None:
    one, eight = cost(network("xception")), cost(network("xception"), batch=8)
    for field in ("macs", "activations", "elementwise"):
        assert getattr(eight, field) == 8 * getattr(one, field)
    assert eight.parameters_total == one.parameters_total
    assert one.bytes_moved < eight.bytes_moved < 8 * one.bytes_moved


def test_bytes_follow_the_precision_but_batch_norm_stays_in_float32() -> None:
    moved = {precision: cost(network("xception"), precision=precision).bytes_moved for precision in ITEM_BYTES}
    batch_norm = 4 * 27_264  # scale, offset, mean, variance of all channels
    assert moved["fp64"] == 2 * moved["fp32"]
    assert moved["bf16"] == (moved["fp32"] - 4 * batch_norm) // 2 + 4 * batch_norm


def tiny() -> Network:
    """A residual block of a convolution, batch norm and an activation, then the classifier."""
    conv = Conv("conv", 3, (3, 3))
    body = (conv, BatchNorm("bn", 1e-3, 0.9), Activation("relu"))
    layers = (Residual("block", body), GlobalAveragePool("pool"), Dropout("dropout", 0.5), Dense("dense", 10))
    return Network("tiny", "default", None, (4, 4, 3), layers)


def test_a_fused_network_moves_only_what_its_convolutions_pools_and_second_summands_move() -> None:
    costs = cost(tiny(), batch=2)
    picture, kernel = 4 * 2 * 4 * 4 * 3, 4 * 3 * 3 * 3 * 3
    assert dict(zip((layer.name for layer in costs.layers), roofline_layers(costs, fused=True), strict=True)) == {
        "block.conv": (2 * 2 * 4 * 4 * 3 * 3 * 3 * 3, 2 * picture + kernel),
        "block.bn": (0, 0),
        "block.relu": (0, 0),
        "block": (0, picture),
        "pool": (0, picture + 4 * 2 * 3),
        "dropout": (0, 0),
        "dense": (2 * 2 * 3 * 10, 4 * 2 * (3 + 10) + 4 * (3 * 10 + 10)),
    }


def test_fused_branches_write_directly_into_their_concatenation() -> None:
    costs = cost(network("inception_v3"))
    layers = zip(costs.layers, roofline_layers(costs, fused=True), strict=True)
    concatenations = [work for layer, work in layers if layer.kind == "concat"]
    assert len(concatenations) == 15
    assert set(concatenations) == {(0, 0)}


@pytest.mark.parametrize("precision", ITEM_BYTES)
@pytest.mark.parametrize("model", ["xception", "inception_v3"])
def test_as_written_does_the_same_multiply_adds_and_moves_every_layers_bytes(model: str, precision: str) -> None:
    costs = cost(network(model), batch=2, precision=precision)
    fused, written = roofline_layers(costs, fused=True), roofline_layers(costs, fused=False)
    assert [flops for flops, _ in fused] == [flops for flops, _ in written]
    assert sum(flops for flops, _ in written) == 2 * costs.macs
    assert sum(moved for _, moved in written) == costs.bytes_moved
    assert all(less <= more for (_, less), (_, more) in zip(fused, written, strict=True))


def test_a_task_without_a_cost_model_is_an_error() -> None:
    assert cost(tiny(), INFER, batch=2) == cost(tiny(), batch=2)
    with pytest.raises(Unsupported, match="cost of tiny: no cost model for the task 'train', expected Infer"):
        cost(tiny(), "train")  # type: ignore[arg-type]
