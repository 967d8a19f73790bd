"""Descriptor of our implementation in JAX; imports no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.jax.recipes import CHOICES, COMPILED, TUNED

if TYPE_CHECKING:
    from frameworks.jax import program

    _: Full = program

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
