"""The networks in PyTorch: `build` returns a torch.nn.Module.

PyTorch is imported by the first call of `build`, so that importing the descriptor, `frameworks.pytorch.framework`, does
not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameworks.api import importing
from frameworks.architectures import network as find_network
from frameworks.blueprint import Network
from frameworks.recipes import Precision, known_precision
from frameworks.weights import WeightSource, resolve

if TYPE_CHECKING:
    from frameworks.pytorch.model import Model

__all__ = ["build"]


def build(
    name: str | Network, *, variant: str = "default", weights: WeightSource = None, precision: Precision = "fp32"
) -> Model:
    """A network as a torch.nn.Module on the CPU, in eval mode.

    Args:
        name: a registered network or operator, or a blueprint.
        variant: of a registered one.
        weights: a mapping of NumPy arrays by canonical name, a safetensors file, or a seed; None for seed 0.
        precision: of kernels and activations.

    Raises:
        frameworks.errors.InvalidRequest: an unknown name, a wrong value, or weights that do not match the network.
        frameworks.errors.MissingFramework: the framework is not installed.
    """
    with importing("pytorch"):
        from frameworks.pytorch.model import DTYPES, Model

    network = find_network(name, variant)
    return Model(network, resolve(network, weights), DTYPES[known_precision(precision)])
