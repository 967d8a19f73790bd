"""The registry: which networks there are, and which variants of each. A variant is a name for a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from frameworks.architectures.inception_v3 import InceptionV3Config, inception_v3
from frameworks.architectures.xception import XceptionConfig, xception
from frameworks.blueprint import Network, least_resolution, place
from frameworks.errors import InvalidConfiguration, UnknownName


@dataclass(frozen=True, slots=True)
class Model:
    """A network by name: what builds it, and its variants' configurations. Every model has the variant `default`."""

    build: Callable[[Any, str], Network]
    variants: Mapping[str, Any]


MODELS: Mapping[str, Model] = {
    "xception": Model(xception, {"default": XceptionConfig(), "narrow": XceptionConfig(width=0.25)}),
    "inception_v3": Model(
        inception_v3,
        {
            "default": InceptionV3Config(),
            "batch_norm_scale": InceptionV3Config(batch_norm_scale=True),
            "narrow": InceptionV3Config(width=0.25),
        },
    ),
}


def network(name: str, variant: str = "default", **fields: Any) -> Network:
    """The blueprint of a model's variant; `fields` replace single fields of its configuration.

    Raises UnknownName for a model or variant that is not registered, InvalidConfiguration for a field that the
    configuration lacks, a value that it cannot take, or a resolution at which some layer has no output.
    """
    model = MODELS.get(name)
    if model is None:
        raise UnknownName("model", name, MODELS)
    config = model.variants.get(variant)
    if config is None:
        raise UnknownName(f"variant of {name}", variant, model.variants)
    known = [field.name for field in dataclasses.fields(config)]
    for field in fields:
        if field not in known:
            raise UnknownName(f"configuration field of {name}", field, known)
    built = model.build(dataclasses.replace(config, **fields), variant)
    _check_resolution(built)
    return built


def _check_resolution(built: Network) -> None:
    try:
        place(built)
    except InvalidConfiguration:
        least = least_resolution(built)
        if built.input_shape[0] >= least:
            raise
        raise InvalidConfiguration(
            f"{built.name}: resolution {built.input_shape[0]} is too small, the least that works is {least}"
        ) from None
