"""Mistakes in one layer kind of PyTorch's implementation: what a programmer, or a framework's default, gets wrong.

Each replaces one function by `wrong(right, *arguments)`. Importing this imports no framework.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pytest

from frameworks.blueprint import Conv, Padding

Wrong = Callable[..., Any]


def make(mistake: str, patch: pytest.MonkeyPatch) -> None:
    """Makes the mistake until the test ends."""
    target, wrong = MISTAKES[mistake]
    right = pkgutil.resolve_name(f"frameworks.pytorch.{target}")
    patch.setattr(f"frameworks.pytorch.{target.replace(':', '.')}", lambda *arguments: wrong(right, *arguments))


def _with(**changed: Any) -> Wrong:
    """The layer as it would be with other settings: values, or functions of the layer."""

    def wrong(right: Wrong, module: Any, x: Any) -> Any:
        kept = module.layer
        settings = {name: value(kept) if callable(value) else value for name, value in changed.items()}
        module.layer = msgspec.structs.replace(kept, **settings)
        try:
            return right(module, x)
        finally:
            module.layer = kept

    return wrong


def _symmetric_where_strided(layer: Conv) -> Padding:
    return "symmetric" if layer.stride > 1 and layer.padding == "same" else layer.padding


def _interleaved(right: Wrong, module: Any, x: Any) -> Any:
    return right(module, x).unflatten(1, (module.layer.groups, -1)).transpose(1, 2).flatten(1, 2)


def _without_bias(right: Wrong, module: Any, x: Any) -> Any:
    return right(module, x) - (0 if module.bias is None else module.bias[:, None, None])


def _without_scaling(right: Wrong, module: Any, x: Any) -> Any:
    return right(module, x) * (1 - module.layer.rate if module.training else 1)


def _without_shortcut(right: Wrong, module: Any, x: Any) -> Any:
    return right(module, x) - (x if module.shortcut is None else module.shortcut(x))


MISTAKES: Final[Mapping[str, tuple[str, Wrong]]] = {
    "the odd cell of padding at the top and left": ("layers:edges", lambda right, *sizes: right(*sizes)[::-1]),
    "a strided convolution padded symmetrically": ("layers:Conv.forward", _with(padding=_symmetric_where_strided)),
    "the features of groups interleaved": ("layers:Conv.forward", _interleaved),
    "a convolution without its bias": ("layers:Conv.forward", _without_bias),
    "a batch norm's epsilon of 1e-3 whatever is asked for": ("layers:BatchNorm.forward", _with(epsilon=1e-3)),
    "momentum as the share of the new statistic": (
        "layers:BatchNorm.forward", _with(momentum=lambda layer: 1 - layer.momentum)
    ),
    "the unbiased variance kept": ("layers:BatchNorm.forward", _with(variance="unbiased")),
    "an average pool that counts its border": ("layers:AveragePool.forward", _with(border="include")),
    "an average pool that does not count its border": ("layers:AveragePool.forward", _with(border="exclude")),
    "padded zeros that win a maximum": ("layers:MaxPool.forward", _with(pad_value=0.0)),
    "ReLU for ELU": ("layers:Activation.forward", _with(function="relu")),
    "a slice that starts one channel late": (
        "layers:Slice.forward", lambda right, module, x: right(module, x.roll(-1, 1))
    ),
    "channels first in flattening": ("layers:Flatten.forward", lambda right, module, x: x.flatten(1)),
    "dropout that does not scale": ("layers:Dropout.forward", _without_scaling),
    "branches in the reverse order": ("model:Branches.children", lambda right, module: reversed(list(right(module)))),
    "a residual without its shortcut": ("model:Residual.forward", _without_shortcut),
}  # fmt: skip
