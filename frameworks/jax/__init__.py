"""The networks in JAX: `build` returns a flax.nnx.Module.

JAX is imported by the first call of `build`, so that importing the descriptor, `frameworks.jax.framework`, does not
import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameworks.api import importing
from frameworks.architectures import network as find_network
from frameworks.blueprint import Network
from frameworks.recipes import Precision, known_precision
from frameworks.weights import WeightSource, resolve

if TYPE_CHECKING:
    from frameworks.jax.layers import ConvLowering
    from frameworks.jax.model import Model

__all__ = ["build"]


def build(
    name: str | Network,
    *,
    variant: str = "default",
    weights: WeightSource = None,
    precision: Precision = "fp32",
    lowering: ConvLowering | None = None,
) -> Model:
    """A network as a flax.nnx.Module on the default device, in eval mode.

    Args:
        name: a registered network or operator, or a blueprint.
        variant: of a registered one.
        weights: a mapping of NumPy arrays by canonical name, a safetensors file, or a seed; None for seed 0.
        precision: of kernels and activations; fp64 turns on JAX's `jax_enable_x64`.
        lowering: how convolutions and pools are expressed; None for XLA's own operations.

    Raises:
        frameworks.errors.InvalidRequest: an unknown name, a wrong value, or weights that do not match the network.
        frameworks.errors.MissingFramework: the framework is not installed.
    """
    with importing("jax"):
        import jax

        from frameworks.jax.layers import DEFAULT_LOWERING, require_lowering
        from frameworks.jax.model import Model, numeric_policy

    if known_precision(precision) == "fp64":
        jax.config.update("jax_enable_x64", True)
    network = find_network(name, variant)
    if lowering is not None:
        require_lowering(lowering)
    return Model(network, resolve(network, weights), numeric_policy(precision), lowering or DEFAULT_LOWERING)
