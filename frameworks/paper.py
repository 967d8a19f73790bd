"""The tables of the Xception paper as data: arXiv 1610.02357, version 3 of 4 April 2017. None of it is our measurement.

Each row names the registered blueprint that it is about, if there is one; notes say what the paper leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frameworks.published import Source

PAPER: Final = Source(
    "Chollet, Xception: Deep Learning with Depthwise Separable Convolutions", "https://arxiv.org/abs/1610.02357"
)
RESNET_PAGE: Final = Source("He et al., deep-residual-networks README", "https://github.com/KaimingHe/deep-residual-networks")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    network: as the paper names it. model, variant: the blueprint. values: one per column, in its unit, as printed.
    """

    network: str
    model: str
    variant: str
    values: tuple[float, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table of the paper.

    number, title: as in the paper. columns: name, unit and printed decimals of each value of a row.
    conditions: how it was measured. source: of the table. also: sources of rows that the paper did not measure itself.
    """

    number: int
    title: str
    columns: tuple[tuple[str, str, int], ...]
    rows: tuple[Row, ...]
    conditions: str
    source: Source = PAPER
    also: tuple[Source, ...] = ()


IMAGENET: Final = PaperTable(
    1,
    "Classification on ImageNet",
    (("top-1 accuracy", "share", 3), ("top-5 accuracy", "share", 3)),
    (
        Row("VGG-16", "vgg16", "default", (0.715, 0.901), "the ResNet authors' page: 28.5 / 9.9 % error, one crop"),
        Row("ResNet-152", "resnet152", "default", (0.770, 0.933), "the same page: 23.0 / 6.7 % error, one crop"),
        Row("Inception V3", "inception_v3", "default", (0.782, 0.941), "without the auxiliary classifier"),
        Row("Xception", "xception", "default", (0.790, 0.945)),
    ),
    "single crop, single model, non-blacklisted validation images",
    also=(RESNET_PAGE,),
)
JFT: Final = PaperTable(
    2,
    "Classification on JFT",
    (("MAP@100 on FastEval14k", "points", 2),),
    (
        Row("Inception V3, no dense layers", "inception_v3", "jft", (6.36,)),
        Row("Xception, no dense layers", "xception", "jft", (6.70,)),
        Row("Inception V3, dense layers", "inception_v3", "jft_dense", (6.50,)),
        Row("Xception, dense layers", "xception", "jft_dense", (6.78,)),
    ),
    "after 30 million iterations, not converged; the weights of MAP@100 are not published, nor are JFT and FastEval14k",
)
SIZE_AND_SPEED: Final = PaperTable(
    3,
    "Size and training speed on ImageNet",
    (("parameters", "", 0), ("training steps", "per second", 0)),
    (
        Row(
            "Inception V3", "inception_v3", "keras_2016", (23_626_728, 31),
            "to the unit the trainable parameters of Keras' first edition, of August 2016",
        ),
        Row("Xception", "xception", "default", (22_855_952, 28), "trainable parameters"),
    ),
    "60 NVIDIA K80, synchronous; batch size and what counts as a step are not stated",
)
TABLES: Final = (IMAGENET, JFT, SIZE_AND_SPEED)

SPEED_RATIO: Final = 28 / 31
"""Xception's speed over Inception V3's in Table 3: of training, whose ratio differs from that of a forward pass."""
