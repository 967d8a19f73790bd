"""What a recipe may choose in JAX, and what `compiled` and `tuned` choose. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frameworks.precision import Device
from frameworks.recipes import AUTOMATIC, BATCH_NORM, MEMORY, THREADS, Choice, Setting
from frameworks.task import TaskName

CHOICES: Final[Mapping[str, Choice]] = {
    "compiler": Choice({
        "xla": Setting("jax.jit", "the whole graph through XLA, as the documentation's first page shows"),
    }),
    "batch_norm": BATCH_NORM,
    "depthwise": Choice({
        "grouped": None,
        "shifted": Setting(
            "depthwise as nine shifted multiply-adds", "XLA fuses them; its grouped convolution is slow on a CPU"
        ),
    }),
    "pointwise": Choice({
        "convolution": None,
        "product": Setting(
            "pointwise as a matrix product", "leaves XLA a plain matrix product instead of a convolution"
        ),
    }),
    "unpadded": Choice({
        "plain": None,
        "cropped": Setting(
            "convolutions without padding computed with it, and cropped",
            "XLA runs those that keep the size faster on a CPU",
        ),
    }),
    "strided": Choice({
        "plain": None,
        "columns": Setting(
            "convolutions of stride 2 as a matrix product of the windows' columns",
            "XLA's convolutions with a stride are slower than its matrix product on a CPU",
        ),
    }),
    "pools": Choice({
        "windows": None,
        "shifted": Setting(
            "pools as shifted maxima and sums", "XLA fuses them; its windowed reduction is slow on a CPU"
        ),
    }),
    "vectors": Choice({
        AUTOMATIC: None,
        "512": Setting("vectors of 512 bits", "XLA prefers half of them where it fuses loops, even with AVX-512"),
    }, devices=("cpu",)),
    "memory": MEMORY,
    "threads": THREADS,
}  # fmt: skip
COMPILED: Final[Mapping[str, str]] = {}
"""The default is the whole-graph compiler already."""
TUNED: Final[Mapping[tuple[TaskName, Device], Mapping[str, str]]] = {
    ("infer", "cpu"): {
        "batch_norm": "folded", "depthwise": "shifted", "pointwise": "product", "unpadded": "cropped",
        "strided": "columns", "pools": "shifted", "memory": "kept",
    },
    ("infer", "cuda"): {"batch_norm": "folded"},
}  # fmt: skip
