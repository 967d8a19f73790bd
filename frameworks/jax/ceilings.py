"""The largest rates that JAX reaches on a device: a matrix product, and a copy. Each call is synchronised."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from frameworks.jax import recipes
from frameworks.jax.model import numbers
from frameworks.runtime import Precision, square_operands


def product(n: int, precision: Precision, device: str) -> Callable[[], jax.Array]:
    """A jitted jnp.matmul; see frameworks.runtime.Runtime."""
    target = recipes.jax_device(device)
    recipes.require_products(precision, device)
    if precision == "fp64":
        jax.config.update("jax_enable_x64", True)
    held = numbers(precision)
    left, right = (jax.device_put(operand.astype(held.dtype), target) for operand in square_operands(n))
    multiply = jax.jit(lambda left, right: jnp.matmul(left, right, precision=held.products))
    return lambda: multiply(left, right).block_until_ready()


def copy(size_bytes: int, device: str) -> Callable[[], jax.Array]:
    """A jitted jnp.copy into the memory of the copy before, which is donated; see frameworks.runtime.Runtime."""
    with jax.default_device(recipes.jax_device(device)):
        source = jnp.ones(size_bytes // 4, jnp.float32)
        targets = [jnp.zeros_like(source)]
    write = jax.jit(lambda source, target: jnp.copy(source), donate_argnums=1, keep_unused=True)

    def duplicate() -> jax.Array:
        targets.append(write(source, targets.pop()).block_until_ready())
        return targets[0]

    return duplicate
