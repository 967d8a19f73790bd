"""Published accuracies of pretrained weights for these networks and related ones, as data with sources.

xibench measured none of these. Accuracies are in percent on the ImageNet validation set (50,000 images), single crop
unless a note says otherwise, as printed by the source. Parameters and multiply-adds of registered networks follow from
their blueprints; those of other networks are given here, counted on their authors' models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

VALIDATION_IMAGES: Final = 50_000

Family = Literal["xception", "inception_v3", "resnet", "aligned_xception"]


@dataclass(frozen=True, slots=True)
class Source:
    """Publisher of a figure, and the address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Published:
    """One set of pretrained weights with its top-1 and top-5 accuracy, in percent.

    model, variant, classes: the blueprint that the weights fit; model is None for a network that is not registered.
    parameters_trainable, macs: of a network that is not registered; None where no count is available.
    """

    weights: str
    family: Family
    top1: float
    top5: float
    resolution: int
    source: Source
    model: str | None = None
    variant: str = "default"
    classes: int = 1000
    parameters_trainable: int | None = None
    macs: int | None = None
    note: str = ""


KERAS: Final = Source("keras-applications README", "https://github.com/keras-team/keras-applications")
KERAS_ISSUE: Final = Source("keras issue 4660", "https://github.com/keras-team/keras/issues/4660")
TORCHVISION: Final = Source("torchvision weight metadata", "https://pytorch.org/vision/stable/models.html")
CADENE: Final = Source("Cadene pretrained-models README", "https://github.com/Cadene/pretrained-models.pytorch")
SLIM: Final = Source("TF-Slim README", "https://github.com/tensorflow/models/tree/master/research/slim")
TIMM: Final = Source("timm results", "https://github.com/huggingface/pytorch-image-models/tree/main/results")


def _xception(weights: str, top1: float, top5: float, source: Source, note: str = "") -> Published:
    return Published(weights, "xception", top1, top5, 299, source, model="xception", note=note)


def _inception(
    weights: str, top1: float, top5: float, source: Source, scale: bool, note: str = "", classes: int = 1000
) -> Published:
    """scale: whether the weights' batch norm has a scale, which decides the variant and its parameters."""
    variant = "batch_norm_scale" if scale else "default"
    return Published(
        weights, "inception_v3", top1, top5, 299, source, model="inception_v3", variant=variant, classes=classes,
        note=note,
    )


def _resnet(
    weights: str,
    depth: int,
    top1: float,
    top5: float,
    source: Source,
    variant: str | None = "torchvision",
    note: str = "",
) -> Published:
    """variant: `default` is Keras' form, which strides on the first 1 x 1; torchvision strides on the 3 x 3; None is
    neither of them.
    """
    return Published(
        weights, "resnet", top1, top5, 224, source, model=f"resnet{depth}" if variant else None,
        variant=variant or "default", note=note,
    )


def _aligned(
    weights: str, top1: float, top5: float, parameters: int | None = None, macs: int | None = None
) -> Published:
    return Published(
        weights, "aligned_xception", top1, top5, 299, TIMM, parameters_trainable=parameters, macs=macs,
        note="DeepLab's aligned Xception, another architecture",
    )


PUBLISHED: Final[tuple[Published, ...]] = (
    _xception("Keras Xception", 79.006, 94.452, KERAS, "10-crop top-5 error 4.738 %"),
    _inception("Keras Inception V3", 77.898, 93.720, KERAS, scale=False, note="10-crop top-5 error 5.038 %"),
    _resnet("Keras ResNet-50", 50, 74.928, 92.060, KERAS, "default"),
    _resnet("Keras ResNet-101", 101, 76.420, 92.786, KERAS, "default"),
    _resnet("Keras ResNet-152", 152, 76.604, 93.118, KERAS, "default"),
    _xception(
        "Keras Xception, independent TF-Slim run", 77.963, 94.098, KERAS_ISSUE, "December 2016; crop not stated"
    ),
    _inception("torchvision Inception V3, V1", 77.294, 93.450, TORCHVISION, scale=True, note="resized to 342"),
    _resnet("torchvision ResNet-50, V1", 50, 76.130, 92.862, TORCHVISION),
    _resnet("torchvision ResNet-101, V1", 101, 77.374, 93.546, TORCHVISION),
    _resnet("torchvision ResNet-152, V1", 152, 78.312, 94.046, TORCHVISION),
    _resnet("torchvision ResNet-50, V2", 50, 80.858, 95.434, TORCHVISION, note="resized to 232; new training recipe"),
    _resnet("torchvision ResNet-101, V2", 101, 81.886, 95.780, TORCHVISION, note="resized to 232; new training recipe"),
    _resnet("torchvision ResNet-152, V2", 152, 82.284, 96.002, TORCHVISION, note="resized to 232; new training recipe"),
    _xception("Cadene Xception", 78.888, 94.292, CADENE),
    _inception("Cadene Inception V3", 77.294, 93.454, CADENE, scale=True),
    _resnet("Cadene ResNet-152", 152, 78.428, 94.110, CADENE),
    _inception("TF-Slim Inception V3", 78.0, 93.9, SLIM, scale=False, classes=1001, note="1001 classes: a background"),
    _resnet("TF-Slim ResNet-50", 50, 75.2, 92.2, SLIM, None),
    _resnet("TF-Slim ResNet-101", 101, 76.4, 92.9, SLIM, None),
    _resnet("TF-Slim ResNet-152", 152, 76.8, 93.2, SLIM, None),
    _xception("timm legacy_xception.tf_in1k", 79.058, 94.396, TIMM, "crop 0.8975, bicubic"),
    _inception("timm inception_v3.tf_in1k", 77.866, 93.644, TIMM, scale=True, note="crop 0.875"),
    _inception("timm inception_v3.tv_in1k", 77.472, 93.468, TIMM, scale=True, note="crop 0.875"),
    _inception("timm inception_v3.gluon_in1k", 78.806, 94.372, TIMM, scale=True),
    _inception("timm inception_v3.tf_adv_in1k", 77.598, 93.726, TIMM, scale=True, note="adversarially trained"),
    _aligned("timm xception41.tf_in1k", 78.550, 94.282, 26_969_560, 9_204_134_312),
    _aligned("timm xception65.tf_in1k", 79.558, 94.656),
    _aligned("timm xception71.tf_in1k", 79.920, 94.908),
    _resnet("timm resnet50.tv_in1k", 50, 76.156, 92.866, TIMM),
    _resnet("timm resnet101.tv_in1k", 101, 77.404, 93.552, TIMM),
    _resnet("timm resnet152.tv_in1k", 152, 78.330, 94.046, TIMM),
)

REFERENCE: Final = {"xception": "Keras Xception", "inception_v3": "Keras Inception V3"}
"""Model -> the weights that stand for it where one accuracy per network is needed: the same publisher for each."""
