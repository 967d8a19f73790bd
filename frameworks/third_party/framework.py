"""Descriptors of third-party implementations of the same networks; imports none of them.

Each runs with our weights; where it does not compute exactly the same function, its record says so. Recipes: its
documented default (`default`), its own whole-graph compiler (`compiled`), and the best settings that its documentation
offers without a change of its code (`tuned`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Prepares
from frameworks.jax.framework import JAX
from frameworks.pytorch.framework import PYTORCH
from frameworks.recipes import Setting
from frameworks.tensorflow.framework import TENSORFLOW

if TYPE_CHECKING:
    from frameworks.third_party import keras_jax, keras_pytorch, keras_tensorflow, timm, torchvision

    _keras: tuple[Prepares, Prepares, Prepares] = (keras_pytorch, keras_tensorflow, keras_jax)
    _torch: tuple[Prepares, Prepares] = (torchvision, timm)

PREDICT: Final = Setting(
    "model.predict_on_batch", "what `predict`, the documented way to run a model, calls for each batch"
)
KERAS_COMPILED: Final = Setting(
    "compile(jit_compile=True)", "torch.compile with its default options, Keras' only switch for it"
)
KERAS_GRAPH: Final = Setting(
    "jit_compile automatic", "Keras' default: XLA on a machine with a GPU, a Grappler-optimised graph without one"
)
KERAS_JIT: Final = Setting(
    "jit_compile automatic", "Keras' default: on JAX it compiles the whole graph with jax.jit"
)
INFERENCE: Final = Setting("torch.inference_mode", "no autograd bookkeeping")
COMPILED: Final = Setting("torch.compile(model)", "TorchInductor with its default options")

ON_PYTORCH: Final = {
    "default": (
        PREDICT,
        Setting("eager, channels_last", "Keras' defaults: on PyTorch it compiles only on request"),
    ),
    "compiled": (PREDICT, KERAS_COMPILED),
    "tuned": (
        PREDICT,
        KERAS_COMPILED,
        Setting(
            "image_data_format channels_first",
            "PyTorch's own layout; otherwise Keras transposes around each layer",
        ),
    ),
}
ON_TENSORFLOW: Final = {
    "default": (PREDICT, KERAS_GRAPH),
    "compiled": (
        PREDICT, Setting("compile(jit_compile=True)", "the whole graph through XLA, Keras' only switch for it"),
    ),
    "tuned": (
        PREDICT,
        KERAS_GRAPH,
        Setting("nothing else", "Keras has no other setting on TensorFlow that affects speed"),
    ),
}  # fmt: skip
ON_JAX: Final = {
    "default": (PREDICT, KERAS_JIT),
    "compiled": (PREDICT, Setting("compile(jit_compile=True)", "jax.jit, which is also the default")),
    "tuned": (
        PREDICT, KERAS_JIT, Setting("nothing else", "Keras has no other setting on JAX that affects speed"),
    ),
}  # fmt: skip
TORCH_MODULES: Final = {
    "default": (INFERENCE, Setting("eager, NCHW", "as in the library's documentation")),
    "compiled": (INFERENCE, COMPILED),
    "tuned": (
        INFERENCE,
        Setting("channels-last memory format", "recommended for convolutional networks by PyTorch's tuning guide"),
        COMPILED,
    ),
}
"""ON_PYTORCH, ON_TENSORFLOW, ON_JAX and TORCH_MODULES: the settings of each recipe."""


def _on(
    backend: Framework, name: str, distribution: str, label: str, what: str, colour: tuple[str, str],
    settings: dict[str, tuple[Setting, ...]], distinct_recipes: tuple[str, ...] = ("default", "compiled", "tuned"),
) -> Framework:  # fmt: skip
    return Framework(
        name=name,
        label=label,
        what=what,
        colour=colour,
        program=f"frameworks.third_party.{name.replace('-', '_')}",
        module=backend.module,
        install=backend.install,
        distributions=(*backend.distributions, distribution),
        origin="third_party",
        backend=backend.name,
        settings=settings,
        distinct_recipes=distinct_recipes,
    )


THIRD_PARTY: Final = (
    _on(
        PYTORCH, "keras-pytorch", "keras", "Keras on PyTorch", "keras.applications on PyTorch",
        ("#e9a36b", "#b35f2c"), ON_PYTORCH,
    ),
    _on(
        TENSORFLOW, "keras-tensorflow", "keras", "Keras on TensorFlow", "keras.applications on TensorFlow",
        ("#7fb2d9", "#2f6d9c"), ON_TENSORFLOW, ("default", "compiled"),
    ),
    _on(
        JAX, "keras-jax", "keras", "Keras on JAX", "keras.applications on JAX",
        ("#7ccbb0", "#1d7d62"), ON_JAX, ("default",),
    ),
    _on(
        PYTORCH, "torchvision", "torchvision", "torchvision", "torchvision.models",
        ("#a34700", "#f6b48c"), TORCH_MODULES,
    ),
    _on(PYTORCH, "timm", "timm", "timm", "timm.create_model", ("#6b3a12", "#fad3bb"), TORCH_MODULES),
)  # fmt: skip
