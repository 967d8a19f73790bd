"""torchvision and timm with our weights. Their wheels do not import beside a CPU-only PyTorch, so stand-ins of the
same shape take their place: PyTorch's own modules, in the order of torchvision's files. test_real_libraries.py has the
same comparison with the installed libraries.
"""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, load
from frameworks.architectures import MODELS, network
from frameworks.blueprint import Network
from frameworks.errors import MissingFramework, Unsupported
from frameworks.task import INFER
from frameworks.third_party import timm, torchvision
from frameworks.third_party.torch_modules import LibraryModel
from frameworks.weights import initial
from tests.frameworks.programs import prepare, step

RESOLUTION = 64
BATCH = np.random.default_rng(0).uniform(-1, 1, (2, RESOLUTION, RESOLUTION, 3)).astype(np.float32)


@pytest.mark.parametrize("library", [torchvision, timm])
def test_the_descriptor_names_the_networks_that_the_library_has(library: ModuleType) -> None:
    has = {name: {model.variant, *model.others} for name, model in library.MODELS.items()}
    described = IMPLEMENTATIONS[library.LIBRARY.name].networks
    assert described is not None
    assert {name: set(variants) for name, variants in described.items()} == {
        name: variants & set(MODELS[name].variants) for name, variants in has.items()
    }


class Bottleneck(nn.Module):
    """A ResNet block as torchvision's: the shortcut is registered last, and runs last."""

    def __init__(self, channels: int, hidden: int, stride: int, skip_first: bool) -> None:
        super().__init__()
        widened = stride != 1 or channels != 4 * hidden
        if skip_first and widened:
            self.downsample = self.skip(channels, hidden, stride)
        self.conv1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, 4 * hidden, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * hidden)
        if not skip_first and widened:
            self.downsample = self.skip(channels, hidden, stride)
        self.widened = widened

    @staticmethod
    def skip(channels: int, hidden: int, stride: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(channels, 4 * hidden, 1, stride, bias=False), nn.BatchNorm2d(4 * hidden))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        total: Tensor = y + (self.downsample(x) if self.widened else x)
        return total.relu()


class ResNet(nn.Module):
    def __init__(self, classes: int, skip_first: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        blocks, channels = [], 64
        for hidden, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(count):
                blocks.append(Bottleneck(channels, hidden, stride if i == 0 else 1, skip_first))
                channels = 4 * hidden
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        logits: Tensor = self.fc(self.blocks(x).mean((2, 3)))
        return logits


class Vgg(nn.Module):
    """VGG-16 as torchvision's: what enters the first dense layer counts channels slowest."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for features, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(channels, features, 3, padding=1), nn.ReLU()]
                channels = features
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        cells = (RESOLUTION // 32) ** 2
        self.classifier = nn.Sequential(
            nn.Linear(512 * cells, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits


def stand_in(name: str, **parts: Any) -> ModuleType:
    module = ModuleType(name)
    for part, value in parts.items():
        setattr(module, part, value)
    return module


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    models = stand_in(
        "models", resnet50=lambda weights, num_classes: ResNet(num_classes),
        vgg16=lambda weights, num_classes: Vgg(num_classes),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torchvision", stand_in("torchvision", models=models))

    def create_model(name: str, pretrained: bool, num_classes: int) -> nn.Module:
        return ResNet(num_classes, skip_first=True)

    monkeypatch.setitem(sys.modules, "timm", stand_in("timm", create_model=create_model))


def logits(name: str, built: Network, recipe: str = "default") -> NDArray[np.floating[Any]]:
    return step(prepare(name, built, recipe), BATCH)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("library", "model", "variant"),
    [
        ("torchvision", "resnet50", "torchvision"),
        ("timm", "resnet50", "torchvision"),
        ("torchvision", "vgg16", "default"),
    ],
)
def test_our_weights_are_loaded_for_any_order_of_a_librarys_layers(library: str, model: str, variant: str) -> None:
    built = network(model, variant, resolution=RESOLUTION)
    expected = logits("pytorch", built)
    assert np.max(np.abs(logits(library, built) - expected)) < 1e-5 * np.max(np.abs(expected))


@pytest.mark.usefixtures("libraries")
def test_a_network_that_the_library_builds_in_another_form_is_unsupported_and_named() -> None:
    built = network("resnet50", resolution=RESOLUTION)
    with pytest.raises(Unsupported, match=r"torchvision has no resnet50, default; expected one of .*resnet50 \(torchv"):
        logits("torchvision", built)


@pytest.mark.usefixtures("libraries")
def test_weights_that_do_not_match_the_librarys_layers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    built = network("resnet50", "torchvision", resolution=RESOLUTION)
    for made, why in ((Vgg, "has 16 layers with weights, ours 107"), (lambda n: ResNet(n + 1), "has shape")):
        monkeypatch.setattr(
            sys.modules["torchvision"].models, "resnet50", lambda weights, num_classes, made=made: made(num_classes)
        )
        with pytest.raises(Unsupported, match=why):
            logits("torchvision", built)


def test_what_differs_from_our_network_is_in_the_record() -> None:
    (border,) = torchvision.MODELS["inception_v3"].differences("default") or ()
    assert border.wanted == "average pools that leave their border out"
    assert torchvision.MODELS["inception_v3"].differences("torchvision") == ()
    assert {s.ran for s in timm.MODELS["xception"].differences("default") or ()} == {"an epsilon of 1e-5", "those"}


@pytest.mark.usefixtures("libraries")
def test_differences_reach_the_program() -> None:
    built = network("resnet50", "torchvision", resolution=RESOLUTION)
    models = {"resnet50": LibraryModel("resnet50", "", {"torchvision": (timm.EPSILON,)})}
    library = dataclasses.replace(timm.LIBRARY, models=models)
    execution = FRAMEWORKS["pytorch"].execution("default", "fp32", "cpu")
    assert timm.EPSILON in library.prepare(built, initial(built), execution, INFER).substitutions


def test_a_missing_or_broken_library_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingFramework, match=r"timm: module 'timm' is not installed; pip install timm"):
        load("timm").touch("cpu")

    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)
    expected = r"torchvision cannot be imported with torch .*: RuntimeError: operator torchvision::nms does not exist"
    with pytest.raises(Unsupported, match=expected):
        torchvision.touch("cpu")
