"""The networks of keras.applications, and the mapping of our layers to Keras' layers, the same on all backends.

This module does not import Keras: models are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from frameworks.blueprint import BatchNorm, Conv, Dense, LayerInstance, Network, infer_shapes
from frameworks.weights import Array, Weights


@dataclass(frozen=True, slots=True)
class Family:
    """The mapping for one family of networks.

    layers: returns Keras' layer for the path of each of our layers with weights.
    taps: returns, for the name of each of our blocks, the Keras layer whose output is the block's output.
    """

    layers: Callable[[Network, Any], dict[str, Any]]
    taps: Callable[[Network, Any], dict[str, Any]]


def covers(model: str, variant: str) -> bool:
    """Whether keras.applications has this network."""
    return model in APPLICATIONS and variant == "default"


def build(applications: Any, network: Network, input_shape: tuple[int, ...] | None = None) -> Any:
    """Build Keras' model of this network, with logits as outputs and Keras' initial weights.

    Args:
        applications: the module keras.applications.
        network: our blueprint.
        input_shape: in Keras' image data format; None for the network's own shape.
    """
    make = getattr(applications, APPLICATIONS[network.name][0])
    shape, classes = input_shape or network.input_shape, network.config.classes
    return make(weights=None, input_shape=shape, classes=classes, classifier_activation=None)


def layers_of(network: Network, model: Any) -> dict[str, Any]:
    """Keras' layer for the path of each of our layers with weights."""
    return APPLICATIONS[network.name][1].layers(network, model)


def taps_of(network: Network, model: Any) -> dict[str, Any]:
    """For the name of each of our blocks, the Keras layer whose output is the block's output."""
    return APPLICATIONS[network.name][1].taps(network, model)


def assign(layers: Mapping[str, Any], weights: Weights) -> None:
    """Load our weights into Keras' layers. One separable convolution of Keras corresponds to two of our layers."""
    together: dict[str, tuple[Any, list[Array]]] = {}
    for path, layer in layers.items():
        roles = ("kernel", "bias", "scale", "offset", "mean", "variance")
        arrays = [weights[f"{path}.{role}"] for role in roles if f"{path}.{role}" in weights]
        if path.endswith(".depthwise"):
            arrays = [arrays[0].transpose(0, 1, 3, 2)]
        together.setdefault(layer.name, (layer, []))[1].extend(arrays)
    for layer, arrays in together.values():
        layer.set_weights(arrays)


def _layers_with_weights(network: Network) -> Iterator[LayerInstance]:
    """Our layers with weights, in execution order."""
    return (p for p in infer_shapes(network) if isinstance(p.layer, Conv | BatchNorm | Dense))


def _numbered(model: Any, stem: str) -> list[Any]:
    """Layers with automatic names (stem, stem_1, …) in the order of creation; model.layers is ordered by depth."""
    found = [(re.fullmatch(rf"{stem}(?:_(\d+))?", layer.name), layer) for layer in model.layers]
    return [layer for _, layer in sorted((int(m[1] or 0), layer) for m, layer in found if m)]


def _xception_layers(network: Network, model: Any) -> dict[str, Any]:
    shortcuts = {Conv: iter(_numbered(model, "conv2d")), BatchNorm: iter(_numbered(model, "batch_normalization"))}

    def find(p: LayerInstance) -> Any:
        block, _, rest = p.path.partition(".")
        if block == "head":
            return model.get_layer("predictions")
        unit, _, leaf = rest.partition(".")
        if unit == "shortcut":
            return next(shortcuts[type(p.layer)])
        return model.get_layer(f"{block}_{unit}_bn" if leaf == "bn" else f"{block}_{unit}")

    return {p.path: find(p) for p in _layers_with_weights(network)}


def _xception_taps(network: Network, model: Any) -> dict[str, Any]:
    ends = {"block1": "block1_conv2_act", "block14": "block14_sepconv2_act", "head": "predictions"}
    additions = iter(_numbered(model, "add"))
    names = [layer.name for layer in network.layers]
    return {name: model.get_layer(ends[name]) if name in ends else next(additions) for name in names}


def _inception_layers(network: Network, model: Any) -> dict[str, Any]:
    numbered = {
        Conv: iter(_numbered(model, "conv2d")),
        BatchNorm: iter(_numbered(model, "batch_normalization")),
        Dense: iter([model.get_layer("predictions")]),
    }
    return {p.path: next(numbered[type(p.layer)]) for p in _layers_with_weights(network)}


def _inception_taps(network: Network, model: Any) -> dict[str, Any]:
    activations, pools = iter(_numbered(model, "activation")), iter(_numbered(model, "max_pooling2d"))
    mixed = iter(model.get_layer(f"mixed{i}") for i in range(11))
    kinds = {"conv": activations, "pool": pools, "mixed": mixed, "head": iter([model.get_layer("predictions")])}
    return {layer.name: next(kinds[layer.name.split("_")[0]]) for layer in network.layers}


def _resnet_layers(network: Network, model: Any) -> dict[str, Any]:
    """conv2_block1.residual.conv1.bn -> conv2_block1_1_bn; a shortcut has the number 0."""

    def name(path: str) -> str:
        parts = [part for part in path.split(".") if part != "residual"]
        if parts[0] == "head":
            return "predictions"
        numbers = {"shortcut": "0", "conv1": "1", "conv2": "2", "conv3": "3"}
        return "_".join([parts[0], *(numbers[part] for part in parts[1:-1]), parts[-1]])

    return {p.path: model.get_layer(name(p.path)) for p in _layers_with_weights(network)}


def _resnet_taps(network: Network, model: Any) -> dict[str, Any]:
    ends = {"conv1": "conv1_relu", "pool1": "pool1_pool", "head": "predictions"}
    return {layer.name: model.get_layer(ends.get(layer.name, f"{layer.name}_out")) for layer in network.layers}


def _vgg_layers(network: Network, model: Any) -> dict[str, Any]:
    """block1.conv1.conv -> block1_conv1, head.dense1 -> fc1."""

    def name(path: str) -> str:
        block, unit, *_ = path.split(".")
        return unit.replace("dense", "fc") if block == "head" else f"{block}_{unit}"

    return {p.path: model.get_layer(name(p.path)) for p in _layers_with_weights(network)}


def _vgg_taps(network: Network, model: Any) -> dict[str, Any]:
    names = [layer.name for layer in network.layers]
    return {name: model.get_layer("predictions" if name == "head" else f"{name}_pool") for name in names}


RESNET, VGG = Family(_resnet_layers, _resnet_taps), Family(_vgg_layers, _vgg_taps)
APPLICATIONS: Final[Mapping[str, tuple[str, Family]]] = {
    "xception": ("Xception", Family(_xception_layers, _xception_taps)),
    "inception_v3": ("InceptionV3", Family(_inception_layers, _inception_taps)),
    "resnet50": ("ResNet50", RESNET),
    "resnet101": ("ResNet101", RESNET),
    "resnet152": ("ResNet152", RESNET),
    "vgg16": ("VGG16", VGG),
}
