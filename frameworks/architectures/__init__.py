"""The registry of networks and operators, and of their variants.

A variant is a named configuration; names and single fields can be combined (see `variants`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from frameworks.architectures import operators
from frameworks.architectures.fields import OF_THE_CASE, Field, Overrides, fields_of, overrides
from frameworks.architectures.inception_v3 import InceptionV3Config, inception_v3
from frameworks.architectures.resnet import BLOCKS, ResNetConfig, resnet
from frameworks.architectures.vgg import VGGConfig, vgg16
from frameworks.architectures.xception import XceptionConfig, xception
from frameworks.blueprint import Network, infer_auxiliary_shapes, infer_shapes, min_resolution
from frameworks.errors import InvalidConfiguration, TooSmall, UnknownName


class Model(msgspec.Struct, frozen=True):
    """A registered network.

    build: makes the blueprint from a configuration and the variant's name. config: makes the default configuration.
    variants: by name, the fields that a variant overrides; every model has the variant `default`. what: in a few words.
    main: one of the paper's two networks, which presets measure.
    """

    build: Callable[[Any, str], Network]
    config: Callable[[], Any]
    variants: Mapping[str, Overrides]
    what: str
    main: bool = False


JFT: Final[Overrides] = {"classes": 17_000, "output": "sigmoid", "dropout": 0.0}
HEADS: Final[Mapping[str, Overrides]] = {
    "dense": {"dense_layers": 2},
    "jft": JFT,
    "jft_dense": {**JFT, "dense_layers": 2},
}
NARROW: Final[Mapping[str, Overrides]] = {"default": {}, "narrow": {"width": 0.25}}
SEGMENTS: Final = (1, 2, 3, 4, 8)
TORCHVISION_RESNET: Final[Overrides] = {"stride_on": "3x3", "bias": False, "epsilon": 1e-5, "momentum": 0.9}

MODELS: Final[Mapping[str, Model]] = {
    "xception": Model(
        xception,
        XceptionConfig,
        {
            **NARROW,
            **HEADS,
            "no_residual": {"residual": False},
            "relu_between": {"intermediate": "relu"},
            "elu_between": {"intermediate": "elu"},
            "pointwise_first": {"order": "pointwise_first"},
            "regular": {"operator": "regular"},
            "timm": {"pool_border": "symmetric", "epsilon": 1e-5, "momentum": 0.9},
            **{f"segments_{g}": {"segments": g} for g in SEGMENTS},
        },
        what="depthwise separable convolutions with shortcuts (Chollet 2017)",
        main=True,
    ),
    "inception_v3": Model(
        inception_v3,
        InceptionV3Config,
        {
            **NARROW,
            **HEADS,
            "batch_norm_scale": {"batch_norm_scale": True},
            "border_included": {"pool_border": "include"},
            "auxiliary": {"auxiliary": True},
            "torchvision": {"batch_norm_scale": True, "pool_border": "include", "auxiliary": True, "momentum": 0.9},
            "keras_2016": {"edition": "2016-08", "batch_norm_scale": True, "epsilon": 1e-5},
        },
        what="modules of parallel, factorised convolutions (Szegedy et al. 2016)",
        main=True,
    ),
    **{
        f"resnet{depth}": Model(
            partial(resnet, depth),
            ResNetConfig,
            {**NARROW, "torchvision": TORCHVISION_RESNET},
            what=f"{depth} layers in bottleneck blocks with shortcuts (He et al. 2016)",
        )
        for depth in BLOCKS
    },
    "vgg16": Model(
        vgg16, VGGConfig, NARROW, what="13 regular 3 x 3 convolutions, three dense layers (Simonyan and Zisserman 2015)"
    ),
}
OPERATORS: Final[Mapping[str, Model]] = {
    name: Model(
        partial(operators.build, name),
        operators.DEFAULTS[name],
        operators.SHAPES,
        what=str(layers.__doc__).removesuffix("."),
    )
    for name, layers in operators.OPERATORS.items()
}
NETWORKS: Final[Mapping[str, Model]] = {**MODELS, **OPERATORS}


def network(name: str | Network, variant: str = "default", **fields: Any) -> Network:
    """Build the blueprint of a registered network or operator.

    Args:
        name: of a model or an operator; a blueprint is returned as it is.
        variant: one of its variants, or several parts joined by `+`.
        fields: single fields of the configuration, on top of the variant.

    Raises:
        UnknownName: the name, the variant or a field does not exist.
        InvalidConfiguration: a field has a value that the network does not support, the resolution is so small that
            some layer of inference has no output, or a blueprint is not alone.
    """
    if isinstance(name, Network):
        if variant != "default" or fields:
            raise InvalidConfiguration(
                f"variant '{variant}' or fields ({', '.join(fields) or 'none'}) beside a blueprint, which is already "
                f"{name.name}/{name.variant}; give the network's name with them, or the blueprint alone"
            )
        return name
    model = NETWORKS.get(name) if isinstance(name, str) else None
    if model is None:
        raise UnknownName("model", name, NETWORKS)
    config = model.config()
    kind: type = type(config)
    known = fields_of(kind)
    for field in fields:
        if field not in known:
            raise UnknownName(f"configuration field of {name}", field, known)
    try:
        chosen = overrides(name, kind, model.variants, variant)
        built = model.build(dataclasses.replace(config, **{**chosen, **fields}), variant)
    except InvalidConfiguration as error:
        explained = f"; `xibench list {name} --fields` explains the fields" if "=" in variant else ""
        raise InvalidConfiguration(f"{error}{explained}") from None
    try:
        infer_shapes(built)
        infer_auxiliary_shapes(built, enlarge=True)  # only training runs it, and may need a larger image
    except TooSmall:
        raise InvalidConfiguration(
            f"{built.name}: resolution {built.input_shape[0]} is too small, the minimum is {min_resolution(built)}"
        ) from None
    return built


def variant_fields(name: str) -> dict[str, Field]:
    """Return the fields that a variant of a network or operator can set, by name; not those without an effect in it."""
    config: type = type(NETWORKS[name].config())
    without = (*OF_THE_CASE, *getattr(config, "IDLE", ()))
    return {field: described for field, described in fields_of(config).items() if field not in without}
