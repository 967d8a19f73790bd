"""timm's models, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping

from frameworks.blueprint import Network
from frameworks.contenders import torch_modules
from frameworks.contenders.torch_modules import BORDER, SETTINGS, Offer
from frameworks.pytorch import recipes, runtime
from frameworks.pytorch.runtime import PyTorchSubject
from frameworks.pytorch.runtime import devices as devices
from frameworks.runtime import Precision, Recipe, Substitution
from frameworks.weights import Weights

LIBRARY = "timm"
EPSILON = Substitution("a batch-norm epsilon of 1e-3", "the library's is PyTorch's", "an epsilon of 1e-5")
POOLS = Substitution(
    "max pools that pad an odd cell at the bottom and right", "the library's pad alike on all sides", "those"
)
OFFERS: Mapping[str, Offer] = {
    "xception": Offer("legacy_xception", "", {"default": (EPSILON, POOLS)}),
    "inception_v3": Offer("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": Offer("resnet50", "torchvision"),
    "resnet101": Offer("resnet101", "torchvision"),
    "resnet152": Offer("resnet152", "torchvision"),
}


def touch(device: str) -> str:
    """As PyTorch's own runtime. Raises MissingFramework or Unsupported."""
    name = runtime.touch(device)
    torch_modules.imported(LIBRARY)
    return name


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return Recipe(name, SETTINGS[name])


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> PyTorchSubject:
    """Timm's network on the device as the recipe says. Raises Unsupported if it has none."""
    recipes.require(device)
    recipes.full_precision()
    found, differences = torch_modules.offer(LIBRARY, OFFERS, network)
    make = torch_modules.imported(LIBRARY).create_model
    model = make(found.name, pretrained=False, num_classes=network.config.classes)
    return torch_modules.subject(model, network, weights, recipe, precision, device, differences)
