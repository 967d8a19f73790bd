"""torchvision.models, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from frameworks.pytorch.runtime import devices as devices
from frameworks.third_party.torch_modules import BORDER, Library, Offer

OFFERS: Final[Mapping[str, Offer]] = {
    "inception_v3": Offer("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": Offer("resnet50", "torchvision"),
    "resnet101": Offer("resnet101", "torchvision"),
    "resnet152": Offer("resnet152", "torchvision"),
    "vgg16": Offer("vgg16", "default"),
}
OPTIONS: Final[Mapping[str, Mapping[str, bool]]] = {"inception_v3": {"aux_logits": False, "init_weights": False}}


def _make(package: Any, name: str, classes: int) -> nn.Module:
    return getattr(package.models, name)(weights=None, num_classes=classes, **OPTIONS.get(name, {}))


LIBRARY: Final = Library("torchvision", OFFERS, _make)
touch, recipe, prepare = LIBRARY.touch, LIBRARY.recipe, LIBRARY.prepare
