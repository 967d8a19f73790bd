"""timm's models; see frameworks.api.Prepares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from frameworks.manifest import Substitution
from frameworks.pytorch.program import devices as devices
from frameworks.third_party.torch_modules import BORDER, Library, LibraryModel

EPSILON: Final = Substitution("a batch-norm epsilon of 1e-3", "the library's is PyTorch's", "an epsilon of 1e-5")
POOLS: Final = Substitution(
    "max pools that pad an odd cell at the bottom and right", "the library's pad alike on all sides", "those"
)
MODELS: Final[Mapping[str, LibraryModel]] = {
    "xception": LibraryModel("legacy_xception", "timm", {"default": (EPSILON, POOLS)}),
    "inception_v3": LibraryModel("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": LibraryModel("resnet50", "torchvision"),
    "resnet101": LibraryModel("resnet101", "torchvision"),
    "resnet152": LibraryModel("resnet152", "torchvision"),
}


def _make(package: Any, name: str, classes: int) -> nn.Module:
    return package.create_model(name, pretrained=False, num_classes=classes)


LIBRARY: Final = Library("timm", MODELS, _make)
touch, prepare = LIBRARY.touch, LIBRARY.prepare
