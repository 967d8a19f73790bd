"""What each recipe means in TensorFlow: its settings with their reasons, and the function that a step runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from frameworks import beginning, recipes
from frameworks.blueprint import Network
from frameworks.errors import Unsupported
from frameworks.precision import require as require_precision
from frameworks.recipes import Recipe
from frameworks.rewrites import fold_batch_norm
from frameworks.runtime import Precision, Substitution
from frameworks.tensorflow.model import build
from frameworks.weights import Weights


def recipe(name: str, device: str) -> Recipe:
    """The settings that a recipe stands for on a device."""
    return recipes.recipe("tensorflow", name, device)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network as a recipe made it.

    function: the tf.function that a step runs. xla: whether XLA compiles it whole. frozen: whether its variables become
    constants once it is traced. substitutions: what could not be had.
    """

    function: Any
    variables: Sequence[tf.Variable]
    xla: bool = False
    frozen: bool = False
    substitutions: tuple[Substitution, ...] = ()


def prepare(network: Network, weights: Weights, name: str, precision: Precision, device: str) -> Prepared:
    """The network on the device as the recipe says."""
    chosen = recipe(name, device)
    choices = chosen.choices
    if choices["batch_norm"] == "folded":
        network, weights = fold_batch_norm(network, weights)
    lacking = beginning.prepared("tensorflow", chosen)
    with tf.device(tf_device(device)):
        model = build(network, weights=weights, precision=precision)

    def forward(x: tf.Tensor) -> tf.Tensor:  # its one argument is all that XLA's program can be asked for with
        halves = tf.split(x, 2) if choices["images"] == "halved" and x.shape[0] and x.shape[0] % 2 == 0 else ()
        return tf.concat([model(half) for half in halves], 0) if halves else model(x)

    xla = choices["graph"] == "xla"
    function = tf.function(forward, jit_compile=True if xla else None)
    return Prepared(function, model.variables, xla, choices["graph"] == "frozen", lacking)


def frozen(concrete: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """A traced function with its variables as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant = convert_variables_to_constants_v2(concrete)
    return lambda batch: constant(batch)[0]


def halves(concrete: Any) -> bool:
    """Whether a traced function takes a batch apart before anything else."""
    return any(op.type == "Split" for op in concrete.graph.get_operations())


def set_products(precision: Precision, device: str) -> None:
    """Float32 products in float32, with TF32 off; on for tf32. Raises Unsupported if the device has none."""
    require_precision("tensorflow", precision, _capability() if device == "cuda" else None)
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")


def _capability() -> tuple[int, int] | None:
    gpu = tf.config.list_physical_devices("GPU")[0]
    found: tuple[int, int] | None = tf.config.experimental.get_device_details(gpu).get("compute_capability")
    return found


def tf_device(device: str) -> str:
    """TensorFlow's name for a device."""
    return "/GPU:0" if device == "cuda" else "/CPU:0"


def require(device: str) -> None:
    """Raises Unsupported if TensorFlow does not see the device."""
    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        built = "with" if tf.test.is_built_with_cuda() else "without"
        raise Unsupported(f"tensorflow: no usable CUDA device (tensorflow {tf.__version__}, built {built} CUDA)")
