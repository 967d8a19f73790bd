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
COMPILED: Final = Setting("torch.compile(model, dynamic=False)", "TorchInductor with its default options")

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

KERAS_NETWORKS: Final = dict.fromkeys(
    ("xception", "inception_v3", "resnet50", "resnet101", "resnet152", "vgg16"), ("default",)
)
TORCHVISION_NETWORKS: Final = {
    "inception_v3": ("torchvision", "default", "batch_norm_scale"),
    "resnet50": ("torchvision",),
    "resnet101": ("torchvision",),
    "resnet152": ("torchvision",),
    "vgg16": ("default",),
}
TIMM_NETWORKS: Final = {
    "xception": ("timm", "default"),
    **{name: variants for name, variants in TORCHVISION_NETWORKS.items() if name != "vgg16"},
}
"""KERAS_NETWORKS, TORCHVISION_NETWORKS and TIMM_NETWORKS: what each library has. The modules hold how each differs."""

KERAS_ON_PYTORCH: Final = Framework(
    name="keras-pytorch",
    label="Keras on PyTorch",
    what="keras.applications on PyTorch",
    colour=("#e9a36b", "#b35f2c"),
    program="frameworks.third_party.keras_pytorch",
    module=PYTORCH.module,
    install=PYTORCH.install,
    distributions=(*PYTORCH.distributions, "keras"),
    origin="third_party",
    backend=PYTORCH.name,
    settings=ON_PYTORCH,
    networks=KERAS_NETWORKS,
)
KERAS_ON_TENSORFLOW: Final = Framework(
    name="keras-tensorflow",
    label="Keras on TensorFlow",
    what="keras.applications on TensorFlow",
    colour=("#7fb2d9", "#2f6d9c"),
    program="frameworks.third_party.keras_tensorflow",
    module=TENSORFLOW.module,
    install=TENSORFLOW.install,
    distributions=(*TENSORFLOW.distributions, "keras"),
    origin="third_party",
    backend=TENSORFLOW.name,
    settings=ON_TENSORFLOW,
    networks=KERAS_NETWORKS,
    distinct_recipes=("default", "compiled"),
)
KERAS_ON_JAX: Final = Framework(
    name="keras-jax",
    label="Keras on JAX",
    what="keras.applications on JAX",
    colour=("#7ccbb0", "#1d7d62"),
    program="frameworks.third_party.keras_jax",
    module=JAX.module,
    install=JAX.install,
    distributions=(*JAX.distributions, "keras"),
    origin="third_party",
    backend=JAX.name,
    settings=ON_JAX,
    networks=KERAS_NETWORKS,
    distinct_recipes=("default",),
)
TORCHVISION: Final = Framework(
    name="torchvision",
    label="torchvision",
    what="torchvision.models",
    colour=("#a34700", "#f6b48c"),
    program="frameworks.third_party.torchvision",
    module=PYTORCH.module,
    install=PYTORCH.install,
    distributions=(*PYTORCH.distributions, "torchvision"),
    origin="third_party",
    backend=PYTORCH.name,
    settings=TORCH_MODULES,
    networks=TORCHVISION_NETWORKS,
)
TIMM: Final = Framework(
    name="timm",
    label="timm",
    what="timm.create_model",
    colour=("#6b3a12", "#fad3bb"),
    program="frameworks.third_party.timm",
    module=PYTORCH.module,
    install=PYTORCH.install,
    distributions=(*PYTORCH.distributions, "timm"),
    origin="third_party",
    backend=PYTORCH.name,
    settings=TORCH_MODULES,
    networks=TIMM_NETWORKS,
)
THIRD_PARTY: Final = (KERAS_ON_PYTORCH, KERAS_ON_TENSORFLOW, KERAS_ON_JAX, TORCHVISION, TIMM)
