"""torchvision.models, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Mapping

from frameworks.blueprint import Network
from frameworks.contenders import torch_modules
from frameworks.contenders.torch_modules import BORDER, SETTINGS, Offer
from frameworks.pytorch import recipes, runtime
from frameworks.pytorch.runtime import PyTorchSubject
from frameworks.pytorch.runtime import devices as devices
from frameworks.runtime import Precision, Recipe
from frameworks.weights import Weights

LIBRARY = "torchvision"
OFFERS: Mapping[str, Offer] = {
    "inception_v3": Offer("inception_v3", "torchvision", {"default": (BORDER,), "batch_norm_scale": (BORDER,)}),
    "resnet50": Offer("resnet50", "torchvision"),
    "resnet101": Offer("resnet101", "torchvision"),
    "resnet152": Offer("resnet152", "torchvision"),
    "vgg16": Offer("vgg16", "default"),
}
OPTIONS: Mapping[str, Mapping[str, bool]] = {"inception_v3": {"aux_logits": False, "init_weights": False}}


def touch(device: str) -> str:
    """As PyTorch's own runtime. Raises MissingFramework or Unsupported."""
    name = runtime.touch(device)
    torch_modules.imported(LIBRARY)
    return name


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return Recipe(name, SETTINGS[name])


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> PyTorchSubject:
    """Torchvision's network on the device as the recipe says. Raises Unsupported if it has none."""
    recipes.require(device)
    recipes.full_precision()
    found, differences = torch_modules.offer(LIBRARY, OFFERS, network)
    make = getattr(torch_modules.imported(LIBRARY).models, found.name)
    model = make(weights=None, num_classes=network.config.classes, **OPTIONS.get(found.name, {}))
    return torch_modules.subject(model, network, weights, recipe, precision, device, differences)
