"""The networks in TensorFlow: `build` returns a tf.Module.

TensorFlow is imported by the first call of `build`, so that importing the descriptor,
`frameworks.tensorflow.framework`, does not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frameworks.api import importing
from frameworks.architectures import network as find_network
from frameworks.blueprint import Network
from frameworks.recipes import Precision, known_precision
from frameworks.weights import WeightSource, resolve

if TYPE_CHECKING:
    from frameworks.tensorflow.model import Model

__all__ = ["build"]


def build(
    name: str | Network, *, variant: str = "default", weights: WeightSource = None, precision: Precision = "fp32"
) -> Model:
    """A network as a tf.Module on the current device.

    Args:
        name: a registered network or operator, or a blueprint.
        variant: of a registered one.
        weights: a mapping of NumPy arrays by canonical name, a safetensors file, or a seed; None for seed 0.
        precision: of kernels and activations.

    Raises:
        frameworks.errors.InvalidRequest: an unknown name, a wrong value, or weights that do not match the network.
        frameworks.errors.MissingFramework: the framework is not installed.
    """
    with importing("tensorflow"):
        from frameworks.tensorflow.model import DTYPES, Model

    network = find_network(name, variant)
    return Model(network, resolve(network, weights), DTYPES[known_precision(precision)])
