"""Descriptor of our implementation in TensorFlow, and the choices of its recipes; imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.recipes import BATCH_NORM, MEMORY, THREADS, Choice, Device, Setting
from frameworks.task import TaskName

if TYPE_CHECKING:
    from frameworks.tensorflow import program

    _: Full = program

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


TENSORFLOW: Final = Framework(
    name="tensorflow",
    label="TensorFlow",
    what="ours, in TensorFlow",
    colour=("#0072b2", "#4fa3e0"),
    program="frameworks.tensorflow.program",
    module="tensorflow",
    install="pip install 'xibench[tensorflow]'",
    distributions=("tensorflow",),
    choices=CHOICES,
    compiled=COMPILED,
    tuned=TUNED,
    threads_variable="TF_NUM_INTRAOP_THREADS",
    flop_counter="tf.compat.v1.profiler, float_operation",
)
