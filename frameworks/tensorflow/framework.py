"""Descriptor of our implementation in TensorFlow; imports no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.tensorflow.recipes import CHOICES, COMPILED, TUNED

if TYPE_CHECKING:
    from frameworks.tensorflow import program

    _: Full = program

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
