"""keras.applications on JAX, behind the protocol of frameworks.runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

from frameworks.blueprint import Network, has_batch_norm
from frameworks.jax import recipes, runtime
from frameworks.jax.recipes import Prepared
from frameworks.jax.runtime import JaxSubject
from frameworks.jax.runtime import devices as devices
from frameworks.runtime import Precision, Recipe
from frameworks.third_party import keras_model
from frameworks.third_party.keras_model import PREDICT, Options
from frameworks.weights import Weights

JIT: Final = ("jit_compile automatic", "Keras' default: on JAX it compiles the whole graph through jax.jit")
SETTINGS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "default": (PREDICT, JIT),
    "compiled": (PREDICT, ("compile(jit_compile=True)", "jax.jit, which is also the default")),
    "tuned": (PREDICT, JIT, ("nothing else", "Keras offers no other setting on JAX that bears on speed")),
}


def touch(device: str) -> str:
    """As JAX's own runtime; the device is JAX's default from then on. Raises MissingFramework or Unsupported."""
    name = runtime.touch(device)
    jax.config.update("jax_default_device", recipes.jax_device(device))
    keras_model.imported("jax")
    return name


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return Recipe(name, SETTINGS[name])


def prepare(network: Network, weights: Weights, recipe: str, precision: Precision, device: str) -> JaxSubject:
    """Keras' network on the device as the recipe says. Raises Unsupported if Keras does not have it."""
    recipes.require_products(precision, device)
    jax.config.update("jax_default_matmul_precision", "default" if precision == "tf32" else "highest")
    if precision == "fp64":
        jax.config.update("jax_enable_x64", True)
    model = keras_model.build("jax", network, weights, precision, Options(True if recipe == "compiled" else None))
    state = {variable.path: variable.value for variable in model.variables}
    return JaxSubject(Prepared(_predict(model), state), has_batch_norm(network), precision, device)


def _predict(model: Any) -> Callable[[Any, jax.Array], jax.Array]:
    """The model keeps its own parameters: what a step passes is not used."""
    return lambda _, batch: jnp.asarray(model.predict_on_batch(batch))
