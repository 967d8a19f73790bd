"""torchvision.models; see frameworks.api.Prepares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from frameworks.pytorch.program import devices as devices
from frameworks.third_party.torch_modules import BORDER, Library, LibraryModel

MODELS: Final[Mapping[str, LibraryModel]] = {
    "inception_v3": LibraryModel("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": LibraryModel("resnet50", "torchvision"),
    "resnet101": LibraryModel("resnet101", "torchvision"),
    "resnet152": LibraryModel("resnet152", "torchvision"),
    "vgg16": LibraryModel("vgg16", "default"),
}
OPTIONS: Final[Mapping[str, Mapping[str, bool]]] = {"inception_v3": {"aux_logits": False, "init_weights": False}}


def _make(package: Any, name: str, classes: int) -> nn.Module:
    return getattr(package.models, name)(weights=None, num_classes=classes, **OPTIONS.get(name, {}))


LIBRARY: Final = Library("torchvision", MODELS, _make)
touch, prepare = LIBRARY.touch, LIBRARY.prepare
