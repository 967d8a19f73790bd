"""timm's models, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from frameworks.pytorch.runtime import devices as devices
from frameworks.runtime import Substitution
from frameworks.third_party.torch_modules import BORDER, Library, Offer

EPSILON: Final = Substitution("a batch-norm epsilon of 1e-3", "the library's is PyTorch's", "an epsilon of 1e-5")
POOLS: Final = Substitution(
    "max pools that pad an odd cell at the bottom and right", "the library's pad alike on all sides", "those"
)
OFFERS: Final[Mapping[str, Offer]] = {
    "xception": Offer("legacy_xception", "", {"default": (EPSILON, POOLS)}),
    "inception_v3": Offer("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": Offer("resnet50", "torchvision"),
    "resnet101": Offer("resnet101", "torchvision"),
    "resnet152": Offer("resnet152", "torchvision"),
}


def _make(package: Any, name: str, classes: int) -> nn.Module:
    return package.create_model(name, pretrained=False, num_classes=classes)


LIBRARY: Final = Library("timm", OFFERS, _make)
touch, recipe, prepare = LIBRARY.touch, LIBRARY.recipe, LIBRARY.prepare
