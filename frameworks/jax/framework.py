"""Descriptor of our implementation in JAX, and the choices of its recipes; imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.recipes import AUTOMATIC, BATCH_NORM, MEMORY, THREADS, Choice, Device, Setting
from frameworks.task import TaskName

if TYPE_CHECKING:
    from frameworks.jax import program

    _: Full = program

CHOICES: Final[Mapping[str, Choice]] = {
    "compiler": Choice({
        "xla": Setting("jax.jit", "the whole graph through XLA, as in JAX's introduction"),
    }),
    "batch_norm": BATCH_NORM,
    "depthwise": Choice({
        "grouped": None,
        "shifted": Setting(
            "depthwise as nine shifted multiply-adds", "XLA fuses them; its grouped convolution is slow on CPUs"
        ),
    }),
    "pointwise": Choice({
        "convolution": None,
        "product": Setting(
            "pointwise as a matmul", "XLA's matmul is faster than its convolution"
        ),
    }),
    "unpadded": Choice({
        "plain": None,
        "cropped": Setting(
            "unpadded convolutions computed with padding and cropped",
            "XLA's convolutions that keep the size are faster on CPUs",
        ),
    }),
    "strided": Choice({
        "plain": None,
        "columns": Setting(
            "convolutions of stride 2 as im2col and a matmul",
            "XLA's strided convolutions are slower than its matmul on CPUs",
        ),
    }),
    "pools": Choice({
        "windows": None,
        "shifted": Setting(
            "pools as maxima and sums of shifted images", "XLA fuses them; its windowed reduction is slow on CPUs"
        ),
    }),
    "vectors": Choice({
        AUTOMATIC: None,
        "512": Setting("512-bit vectors", "XLA prefers 256 bits in fused loops, even with AVX-512"),
    }, devices=("cpu",)),
    "memory": MEMORY,
    "threads": THREADS,
}  # fmt: skip
COMPILED: Final[Mapping[str, str]] = {}
"""Empty: the default already is the whole-graph compiler."""
TUNED: Final[Mapping[tuple[TaskName, Device], Mapping[str, str]]] = {
    ("infer", "cpu"): {
        "batch_norm": "folded", "depthwise": "shifted", "pointwise": "product", "unpadded": "cropped",
        "strided": "columns", "pools": "shifted", "memory": "kept",
    },
    ("infer", "cuda"): {"batch_norm": "folded"},
}  # fmt: skip


JAX: Final = Framework(
    name="jax",
    label="JAX",
    what="ours, in JAX with Flax",
    colour=("#009e73", "#2bbf95"),
    program="frameworks.jax.program",
    module="jax",
    install="pip install 'xibench[jax]'",
    distributions=("jax", "jaxlib", "flax"),
    choices=CHOICES,
    compiled=COMPILED,
    tuned=TUNED,
    threads_variable="NPROC",
    flop_counter="jax.stages.Lowered.cost_analysis",
)
