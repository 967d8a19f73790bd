"""The networks in NumPy: `build` returns a model in which each layer is computed by its definition.

NumPy is imported by the first call of `build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameworks.api import importing
from frameworks.architectures import network as find_network
from frameworks.blueprint import Network
from frameworks.recipes import Precision, known_precision
from frameworks.weights import WeightSource, resolve

if TYPE_CHECKING:
    from frameworks.reference.model import Model

__all__ = ["build"]


def build(
    name: str | Network, *, variant: str = "default", weights: WeightSource = None, precision: Precision = "fp64"
) -> Model:
    """A network as a NumPy model, in inference mode.

    Args:
        name: a registered network or operator, or a blueprint.
        variant: of a registered one.
        weights: a mapping of NumPy arrays by canonical name, a safetensors file, or a seed; None for seed 0.
        precision: fp64 or fp32; see frameworks.reference.model.DTYPES.

    Raises:
        frameworks.errors.InvalidRequest: an unknown name, a wrong value, or weights that do not match the network.
        frameworks.errors.MissingFramework: the framework is not installed.
        frameworks.errors.Unsupported: a precision that NumPy does not have.
    """
    with importing("reference"):
        from frameworks.reference.model import Model

    network = find_network(name, variant)
    return Model(network, resolve(network, weights), known_precision(precision))
