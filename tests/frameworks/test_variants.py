"""Every variant and comparator has the counts that are known of it, and a wrong one is refused in one line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frameworks
from frameworks.api import FRAMEWORKS
from frameworks.architectures import NETWORKS, network, variant_fields
from frameworks.architectures.fields import fields_of
from frameworks.architectures.separable import split
from frameworks.blueprint import Conv, infer_auxiliary_shapes, infer_shapes, min_resolution, parameters
from frameworks.cost import cost
from frameworks.errors import InvalidConfiguration, InvalidRequest, UnknownName


@pytest.mark.parametrize(
    ("model", "variant", "trainable", "macs"),
    [
        ("xception", "no_residual", 21_878_880, 8_125_858_664),
        ("xception", "pointwise_first", 22_873_808, 8_383_857_448),
        ("xception", "regular", 179_071_688, 68_818_345_696),
        ("xception", "relu_between", 22_855_952, 8_357_403_496),
        ("xception", "elu_between", 22_855_952, 8_357_403_496),
        ("xception", "dense", 22_855_952 + 8_392_704 + 16_781_312 + (4096 - 2048) * 1000, 8_384_617_320),
        ("xception", "jft", 55_639_952, 8_390_171_496),
        ("xception", "jft_dense", 115_629_968, 8_450_153_320),
        ("xception", "segments_1", 183_616_904, 71_419_884_448),
        ("xception", "segments_2", 103_132_712, 39_822_548_800),
        ("xception", "segments_3", 76_304_846, 29_290_501_948),
        ("xception", "segments_4", 62_890_616, 24_023_880_976),
        ("xception", "segments_8", 42_769_568, 16_124_547_064),
        ("xception", "pointwise_first+segments_1", 221_328_776, 86_470_598_560),
        ("xception", "pointwise_first+segments_2", 121_988_648, 47_347_905_856),
        ("xception", "pointwise_first+segments_3", 88_875_470, 34_307_406_652),
        ("xception", "pointwise_first+segments_4", 72_318_584, 27_786_559_504),
        ("xception", "pointwise_first+segments_8", 47_483_552, 18_005_886_328),
        ("inception_v3", "jft", 56_601_352, 5_745_984_096),
        ("inception_v3", "jft_dense", 116_591_368, 5_805_965_920),
        ("inception_v3", "jft+batch_norm_scale", 56_618_568, 5_745_984_096),
        ("inception_v3", "jft_dense+batch_norm_scale", 116_608_584, 5_805_965_920),
        ("inception_v3", "border_included", 23_817_352, 5_713_216_096),
        ("inception_v3", "auxiliary+batch_norm_scale", 27_161_264, 5_713_216_096),
        ("inception_v3", "torchvision", 27_161_264, 5_713_216_096),
        ("inception_v3", "keras_2016", 23_626_728, 5_623_817_312),
        ("resnet50", "default", 25_583_592, 3_857_973_248),
        ("resnet101", "default", 44_601_832, 7_570_194_432),
        ("resnet152", "default", 60_268_520, 11_282_415_616),
        ("resnet50", "torchvision", 25_557_032, 4_089_184_256),
        ("resnet101", "torchvision", 44_549_160, 7_801_405_440),
        ("resnet152", "torchvision", 60_192_808, 11_513_626_624),
        ("vgg16", "default", 138_357_544, 15_470_264_320),
    ],
)
def test_parameters_and_multiply_adds_are_the_known_ones(
    model: str, variant: str, trainable: int, macs: int
) -> None:
    found = cost(network(model, variant))
    assert (found.parameters_trainable, found.macs) == (trainable, macs)


@pytest.mark.parametrize(
    ("model", "variant", "resolution", "total", "macs"),
    [
        ("resnet50", "default", 299, 25_636_712, 7_211_875_072),
        ("resnet101", "default", 299, 44_707_176, 14_049_180_416),
        ("resnet152", "default", 299, 60_419_944, 20_886_485_760),
        ("resnet50", "torchvision", 299, 25_610_152, 7_627_668_224),
        ("resnet101", "torchvision", 299, 44_654_504, 14_464_973_568),
        ("resnet152", "torchvision", 299, 60_344_232, 21_302_278_912),
        ("inception_v3", "keras_2016", 299, 23_626_728 + 34_240, 5_623_817_312),
        ("inception_v3", "auxiliary+batch_norm_scale", 299, 27_197_488, 5_713_216_096),
    ],
)
def test_totals_count_running_statistics_too(model: str, variant: str, resolution: int, total: int, macs: int) -> None:
    found = cost(network(model, variant, resolution=resolution))
    assert (found.parameters_total, found.macs) == (total, macs)


def test_the_auxiliary_classifier_costs_only_training() -> None:
    found = cost(network("inception_v3", "auxiliary+batch_norm_scale"), batch=2)
    assert found.auxiliary_macs == 2 * 5_683_200
    assert sum(layer.parameters_trainable for layer in found.auxiliary_layers) == 3_326_696
    assert not any("auxiliary" in layer.name for layer in found.layers)
    assert infer_auxiliary_shapes(network("inception_v3")) == ()


@pytest.mark.parametrize("resolution", [75, 224, 298])
def test_an_auxiliary_classifier_limits_the_size_of_training_only(resolution: int) -> None:
    built = network("inception_v3", "torchvision", resolution=resolution)
    plain = cost(network("inception_v3", "batch_norm_scale", resolution=resolution))
    found, trained = cost(built), cost(network("inception_v3", "torchvision"))
    assert (found.macs, found.activations) == (plain.macs, plain.activations)
    assert (found.auxiliary_macs, found.auxiliary_layers) == (None, ())  # not 0: training does not run
    assert (found.parameters_total, found.parameters_trainable) == (
        trained.parameters_total, trained.parameters_trainable,
    )  # fmt: skip
    assert parameters(built) == parameters(network("inception_v3", "torchvision"))  # a file fits every resolution
    assert (min_resolution(built), min_resolution(built, training=True)) == (75, 299)


def test_every_field_says_what_it_means_and_takes_its_own_default() -> None:
    for name, model in NETWORKS.items():
        config = model.config()
        kind: type = type(config)
        fields = fields_of(kind)
        assert list(fields) == [field.name for field in dataclasses.fields(config)]
        assert all(field.meaning for field in fields.values())
        for field in variant_fields(name).values():
            value = getattr(config, field.name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert network(name, f"{field.name}={text}").layers == network(name).layers


def test_fields_have_the_type_that_they_are_declared_with_whatever_number_they_are_given() -> None:
    config = network("xception", resolution=np.int64(96), width=np.float32(0.25), epsilon=1).config
    assert [type(getattr(config, name)) for name in ("resolution", "width", "epsilon")] == [int, float, float]


def test_a_blueprint_is_itself_and_takes_no_variant_beside_it() -> None:
    built = network("xception", "narrow")
    assert network(built) is built
    with pytest.raises(InvalidConfiguration, match=r"variant 'jft' or fields \(width\) beside a blueprint"):
        network(built, "jft", width=0.5)


@pytest.mark.parametrize(
    ("segments", "weights"),
    [
        (1, 5_299_840), (2, 2_914_912), (4, 1_722_448), (7, 1_211_392), (8, 1_126_216), (13, 896_896), (14, 870_688),
        (26, 713_440), (28, 700_336), (52, 621_712), (56, 615_160), (91, 582_400), (104, 575_848),
        (182, 556_192), (364, 543_088),
    ],
)  # fmt: skip
def test_a_middle_layer_along_the_spectrum(segments: int, weights: int) -> None:
    layers = cost(network("grouped", segments=segments)).layers + cost(network("pointwise")).layers
    assert sum(layer.parameters for layer in layers) == weights
    assert sum(layer.macs for layer in layers) == 361 * weights


def test_segments_that_do_not_divide_the_channels_differ_by_one_and_lose_none() -> None:
    assert split(728, 3) == (243, 243, 242)
    assert split(7, 7) == (1,) * 7
    shapes = {p.name: p.shape for p in parameters(network("xception", "segments_3"))}
    names = [f"block5.sepconv2.spatial.segment{i}.conv.kernel" for i in (1, 2, 3)]
    assert [shapes[name] for name in names] == [(3, 3, 243, 243), (3, 3, 243, 243), (3, 3, 242, 242)]


def test_a_segment_per_channel_is_the_depthwise_network() -> None:
    assert network("xception", "segments=0").layers == network("xception").layers


def test_the_edition_of_2016_activates_before_it_normalises() -> None:
    paths = [p.path for p in infer_shapes(network("inception_v3", "keras_2016"))]
    at = paths.index("conv_1a_3x3.relu")
    assert paths[at - 1 : at + 2] == ["conv_1a_3x3.conv", "conv_1a_3x3.relu", "conv_1a_3x3.bn"]


def test_both_forms_of_a_resnet_halve_in_the_convolution_that_they_say() -> None:
    for variant, strides in (("default", (2, 1)), ("torchvision", (1, 2))):
        placed = {p.path: p.layer for p in infer_shapes(network("resnet50", variant))}
        pair = [placed[f"conv3_block1.residual.{name}.conv"] for name in ("conv1", "conv2")]
        assert tuple(layer.stride for layer in pair if isinstance(layer, Conv)) == strides


def test_every_registered_name_builds_with_names_of_its_own() -> None:
    for name, model in NETWORKS.items():
        for variant in model.variants:
            built = network(name, variant)
            assert (built.name, built.variant) == (name, variant)
            names = [p.name for p in parameters(built)]
            assert len(set(names)) == len(names) > 0


def test_parts_of_a_variant_are_put_together() -> None:
    config = network("xception", "narrow+jft_dense+segments_3+epsilon=1e-5+batch_norm_scale=false").config
    assert (config.width, config.classes, config.output, config.segments) == (0.25, 17_000, "sigmoid", 3)
    assert (config.epsilon, config.batch_norm_scale, config.dense_layers) == (1e-5, False, 2)


@pytest.mark.parametrize(
    ("model", "variant", "fields", "message"),
    [
        ("xception", "segments=65", {}, "segments is 65, expected 1 to 64 (the narrowest width that is split) or 0"),
        ("xception", "narrow+segments=17", {}, "expected 1 to 16"),
        ("xception", "segments_5", {}, "unknown variant of xception 'segments_5': did you mean segments_"),
        ("xception", "segment=3", {}, "unknown configuration field of xception 'segment': did you mean segments"),
        ("xception", "width=wide", {}, "width is 'wide', expected a number"),
        ("xception", "classes=0", {}, "classes is 0, expected a whole number of at least 1"),
        ("xception", "classes=1.5", {}, "classes is '1.5', expected a whole number"),
        ("xception", "order=both", {}, "order is 'both', expected one of spatial_first, pointwise_first"),
        ("xception", "residual=no", {}, "residual is 'no', expected one of true, false"),
        ("xception", "narrow+width=0.5", {}, "narrow sets width to 0.25, width=0.5 to 0.5; leave one of them out"),
        ("xception", "dense_layers=-1", {}, "dense_layers is -1, expected a whole number from 0 to 8"),
        ("xception", "width=inf", {}, "width is inf, expected a number above 0"),
        ("xception", "epsilon=nan", {}, "epsilon is nan, expected a number above 0"),
        ("xception", "regular+segments_4", {}, "segments is 4, which would change nothing: a regular convolution"),
        ("xception", "regular+pointwise_first", {}, "order is pointwise_first, which would change nothing"),
        ("resnet50", "dropout=0.5", {}, "dropout is 0.5, which would change nothing: a ResNet has no dropout"),
        ("vgg16", "epsilon=1e-5", {}, "epsilon is 1e-05, which would change nothing: VGG-16 has no batch norm"),
        ("xception", "resolution=128", {}, "unknown configuration field of xception 'resolution'"),
        ("xception", "default", {"resolution": 5}, "xception: resolution 5 is too small, the minimum is 7"),
        ("inception_v3", "auxiliary", {"resolution": 74}, "resolution 74 is too small, the minimum is 75"),
        ("xception", "default", {"resolution": "96"}, "resolution is '96', expected a whole number of at least 1, in"),
        ("xception", "default", {"resolution": 96.0}, "resolution is 96.0, expected a whole number"),
        ("xception", "default", {"residual": 1}, "residual is 1, expected one of true, false"),
        ("xception", "default", {"output": ["softmax"]}, "output is ['softmax'], expected one of softmax, sigmoid"),
        ("xception", "width", {}, "'width' of xception is a field without a value; write width=VALUE, where VALUE is"),
        ("xception", "order=both", {}, "`xibench list xception --fields` explains"),
        ("xception", "segment=3", {}, "did you mean segments or momentum? `xibench list xception --fields` explains"),
        ("xception", "zzz=3", {}, "intermediate, order, segments, operator; `xibench list xception --fields` explains"),
        ("vgg16", "default", {"resolution": 31}, "vgg16: resolution 31 is too small, the minimum is 32"),
        ("grouped", "segments=729", {}, "segments is 729, expected 1 to 728"),
        ("grouped", "channels=0", {}, "channels is 0, expected a whole number of at least 1"),
        ("grouped", "segments=0", {}, "segments is 0, expected a whole number of at least 1"),
        ("inception_segments", "features=3+segments=5", {}, "segments is 5, expected 1 to 3, the features that are"),
        ("inception", "features=3", {}, "features is 3, expected at least 4, one for each branch"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    model: str, variant: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises((InvalidConfiguration, UnknownName)) as raised:
        network(model, variant, **fields)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, InvalidRequest)


def test_an_architecture_imports_no_framework_and_no_framework_names_an_architecture() -> None:
    root = Path(frameworks.__file__).parent
    imported = re.compile(r"^\s*(?:import|from) (?:torch|tensorflow|jax|flax)\b", re.MULTILINE)
    for path in (root / "architectures").rglob("*.py"):
        assert not imported.search(path.read_text()), path
    families = re.compile(r"(?<!e)xception|inception|resnet|vgg", re.IGNORECASE)  # no Exception
    for framework in FRAMEWORKS:
        for path in (root / framework).rglob("*.py"):
            assert not families.search(path.read_text()), path
