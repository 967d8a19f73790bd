"""What each recipe means in JAX: its settings with their reasons, and the function that a step runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import jax
from flax import nnx

from frameworks import beginning, recipes
from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.jax.layers import Forms
from frameworks.jax.model import build
from frameworks.precision import require as require_precision
from frameworks.recipes import Recipe
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Substitution
from frameworks.weights import Weights

VECTORS: Final = "xla_cpu_prefer_vector_width"  # bits; XLA's own name
FORMS: Final = tuple(form.name for form in fields(Forms))


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return recipes.recipe("jax", name, device)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network as a recipe made it.

    function: jitted, (state, batch) -> logits. state: the parameters, arrays by path. forms: how convolutions are
    written; None in an implementation that is not ours. options: XLA's, beside its defaults. substitutions: what could
    not be had.
    """

    function: Any
    state: Any
    forms: Forms | None = None
    options: Mapping[str, int] = field(default_factory=dict)
    substitutions: tuple[Substitution, ...] = ()


def prepare(network: Network, weights: Weights, name: str, precision: Precision, device: str) -> Prepared:
    """The network on the device as the recipe says."""
    chosen = recipe(name, device)
    choices = chosen.choices
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    require_products(precision, device)
    lacking = beginning.prepared("jax", chosen)
    written: Any = {form: choices[form] for form in FORMS}
    forms = Forms(**written)
    with jax.default_device(jax_device(device)):
        model = build(network, weights=weights, precision=precision, forms=forms)
    graph, state = nnx.split(model)
    vectors = choices["vectors"]
    options = {VECTORS: int(vectors)} if vectors != recipes.AUTOMATIC and device == "cpu" else {}
    forward = jax.jit(lambda state, x: nnx.merge(graph, state)(x), compiler_options=options or None)
    return Prepared(forward, state, forms, options, lacking)


def require_products(precision: Precision, device: str) -> None:
    """Raises Unsupported for tf32 if the device has none."""
    found = getattr(jax_device(device), "compute_capability", None) if device == "cuda" else None
    major, _, minor = str(found).partition(".")
    require_precision("jax", precision, (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None)


def jax_device(device: str) -> jax.Device:
    """JAX's object for a device. Raises Unsupported if JAX does not see it."""
    try:
        return jax.devices("cuda" if device == "cuda" else "cpu")[0]
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise Unsupported(f"jax: no usable CUDA device (jax {jax.__version__}): {why}") from error
