"""Other people's implementations of the same networks, behind the same protocol (frameworks.runtime.Runtime).

Each carries our weights where it computes the same function; where it does not, its record says so. A contender is
measured by its documented default (`default`), by its own whole-graph compiler (`compiled`), and by the best of the
settings that its documentation offers without changing its code (`tuned`). Importing this imports no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Contender:
    """One implementation by other hands.

    framework: that it runs on, in whose environment, and whose implementation of ours it is compared with.
    file: of its runtime, `frameworks/third_party/<file>.py`. distribution: whose version goes into records.
    what: in a few words. recipes: those that are not the same as one before them.
    """

    framework: str
    file: str
    distribution: str
    what: str
    recipes: tuple[str, ...]


ALL: Final = ("default", "compiled", "tuned")
CONTENDERS: Final[Mapping[str, Contender]] = {
    "keras-pytorch": Contender("pytorch", "keras_pytorch", "keras", "keras.applications on PyTorch", ALL),
    "keras-tensorflow": Contender(
        "tensorflow", "keras_tensorflow", "keras", "keras.applications on TensorFlow", ("default", "compiled")
    ),
    "keras-jax": Contender("jax", "keras_jax", "keras", "keras.applications on JAX", ("default",)),
    "torchvision": Contender("pytorch", "torchvision", "torchvision", "torchvision.models", ALL),
    "timm": Contender("pytorch", "timm", "timm", "timm.create_model", ALL),
}
