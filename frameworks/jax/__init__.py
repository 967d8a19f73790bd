"""The networks in JAX: `build` returns a flax.nnx.Module.

The framework is imported on first use of `build` or `Model`, so that the descriptor, `frameworks.jax.framework`,
can be imported without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frameworks.jax.layers import ConvLowering
    from frameworks.jax.model import Model, build

__all__ = ["ConvLowering", "Model", "build"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; expected one of {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.model"), name)
