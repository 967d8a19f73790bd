"""The networks in JAX: `build` gives a flax.nnx.Module."""

from frameworks.jax.layers import Forms
from frameworks.jax.model import Model, build

__all__ = ["Forms", "Model", "build"]
