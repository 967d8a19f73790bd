"""The networks in NumPy: `build` gives a model whose every layer is written as its definition."""

from frameworks.reference.model import Model, build

__all__ = ["Model", "build"]
