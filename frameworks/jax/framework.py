"""JAX, described without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Full
from frameworks.jax import recipes

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
    choices=recipes.CHOICES,
    compiled=recipes.COMPILED,
    tuned=recipes.TUNED,
    threads_variable="NPROC",
    flop_counter="jax.stages.Lowered.cost_analysis",
)
