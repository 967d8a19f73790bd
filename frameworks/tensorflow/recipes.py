"""What a recipe may choose in TensorFlow, and what `compiled` and `tuned` choose. Imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from frameworks.precision import Device
from frameworks.recipes import BATCH_NORM, MEMORY, THREADS, Choice, Setting
from frameworks.task import TaskName

CHOICES: Final[Mapping[str, Choice]] = {
    "batch_norm": BATCH_NORM,
    "graph": Choice({
        "traced": Setting("tf.function", "a graph, optimised by grappler, as the guide on performance begins"),
        "frozen": Setting(
            "tf.function, its variables frozen into constants",
            "oneDNN lays constant kernels out once, and grappler fuses what follows a convolution",
        ),
        "xla": Setting("tf.function(jit_compile=True)", "the whole graph through XLA"),
    }),
    "images": Choice({
        "together": None,
        "halved": Setting(
            "a batch's halves side by side",
            "a core that waits for one half can go on with the other; an odd batch stays whole",
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
