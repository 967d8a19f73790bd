"""The choices of a recipe in TensorFlow, and those of `compiled` and `tuned`. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frameworks.precision import Device
from frameworks.recipes import BATCH_NORM, MEMORY, THREADS, Choice, Setting
from frameworks.task import TaskName

CHOICES: Final[Mapping[str, Choice]] = {
    "batch_norm": BATCH_NORM,
    "graph": Choice({
        "traced": Setting("tf.function", "a graph optimised by Grappler, as in TensorFlow's guide to performance"),
        "frozen": Setting(
            "tf.function with variables frozen into constants",
            "oneDNN reorders constant kernels once, and Grappler fuses operations into the convolution before them",
        ),
        "xla": Setting("tf.function(jit_compile=True)", "the whole graph through XLA"),
    }),
    "images": Choice({
        "together": None,
        "halved": Setting(
            "the two halves of a batch in parallel",
            "a core that would wait in one half works on the other; an odd batch is not split",
        ),
    }),
    "memory": MEMORY,
    "threads": THREADS,
}  # fmt: skip
COMPILED: Final[Mapping[str, str]] = {"graph": "xla"}
TUNED: Final[Mapping[tuple[TaskName, Device], Mapping[str, str]]] = {
    ("infer", "cpu"): {"batch_norm": "folded", "graph": "frozen", "images": "halved"},
    ("infer", "cuda"): {"batch_norm": "folded"},
}
