"""What each recipe means in JAX: its settings with their reasons, and the function that a step runs."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.jax.layers import DEFAULT_FORMS, Forms
from frameworks.jax.model import Model, build
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Recipe
from frameworks.weights import Weights

JIT = ("jax.jit", "the whole graph through XLA, as the documentation's first page shows")


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    settings: dict[str, tuple[tuple[str, str], ...]] = {
        "default": (JIT,),
        "compiled": (JIT,),
        "tuned": (
            JIT,
            ("batch norm folded into convolutions", "one pass over each activation less; exact in real arithmetic"),
            *(_CPU_FORMS if device == "cpu" else ()),
        ),
    }
    return Recipe(name, settings[name])


_CPU_FORMS = (
    ("depthwise as nine shifted multiply-adds", "XLA fuses them; its grouped convolution is slow on a CPU"),
    ("pointwise as a matrix product", "leaves XLA a plain matrix product instead of a convolution"),
)


def prepare(
    network: Network, weights: Weights, name: str, precision: Precision, device: str
) -> tuple[Model, Any, Any]:
    """The model, its state, and the jitted function (state, batch) -> logits."""
    forms = DEFAULT_FORMS
    if name == "tuned":
        network, weights = fold_batch_norm(network, weights)
        forms = Forms("shifted", "product") if device == "cpu" else forms
    with jax.default_device(jax_device(device)):
        model = build(network, weights=weights, precision=precision, forms=forms)
    graph, state = nnx.split(model)
    return model, state, jax.jit(lambda state, x: nnx.merge(graph, state)(x))


def jax_device(device: str) -> jax.Device:
    """JAX's object for a device. Raises Unsupported if JAX does not see it."""
    try:
        return jax.devices("cuda" if device == "cuda" else "cpu")[0]
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise Unsupported(f"jax: no usable CUDA device (jax {jax.__version__}): {why}") from error
