"""Which colour, pattern and symbol stands for what. The colours themselves are variables of static/site.css."""

from __future__ import annotations

import zlib
from typing import Final

FRAMEWORK_ORDER: Final = (
    "pytorch", "tensorflow", "jax", "keras-pytorch", "keras-tensorflow", "keras-jax", "torchvision", "timm"
)  # fmt: skip
"""Frameworks, then other people's implementations, as they stand side by side."""
_PATTERNS: Final = {"default": "", "compiled": "/", "tuned": "x"}
_SYMBOLS: Final = {"default": "circle", "compiled": "square", "tuned": "diamond"}
_DASHES: Final = {"default": "solid", "compiled": "dot", "tuned": "dash"}
_OWN_PATTERNS, _OWN_SYMBOLS = (".", "+", "|", "-", "\\"), ("triangle-up", "cross")
_OWN_DASHES: Final = ("longdash", "dashdot", "longdashdot")
_KINDS: Final = {
    "pointwise": "var(--part-1)", "conv": "var(--part-2)", "depthwise": "var(--part-3)", "dense": "var(--part-4)",
    "grouped": "var(--other)",
}  # fmt: skip
_FAMILIES: Final = {
    "xception": ("Xception", "var(--part-1)", "circle"),
    "inception_v3": ("Inception V3", "var(--part-3)", "square"),
    "resnet": ("ResNet", "var(--part-2)", "diamond"),
    "aligned_xception": ("aligned Xception", "var(--part-4)", "triangle-up"),
}
PHASES: Final = ("var(--part-4)", "var(--part-2)", "var(--part-3)", "var(--part-1)")


def framework_colour(framework: str) -> str:
    """The same for a framework or contender on every page; a contender's is a shade of its framework's."""
    return f"var(--{framework})" if framework in FRAMEWORK_ORDER else "var(--other)"


def recipe_pattern(recipe: str) -> str:
    """The hatching of a recipe's bars."""
    return _PATTERNS[recipe] if recipe in _PATTERNS else _own(recipe, _OWN_PATTERNS)


def recipe_symbol(recipe: str) -> str:
    """The mark of a recipe's points."""
    return _SYMBOLS.get(recipe) or _own(recipe, _OWN_SYMBOLS)


def recipe_dash(recipe: str) -> str:
    """The stroke of a recipe's lines."""
    return _DASHES.get(recipe) or _own(recipe, _OWN_DASHES)


def _own(recipe: str, marks: tuple[str, ...]) -> str:
    """The mark of a recipe with choices of its own: always the same, and rarely another one's."""
    return marks[zlib.crc32(recipe.encode()) % len(marks)]


def kind_colour(kind: str) -> str:
    """The colour of a kind of layer."""
    return _KINDS.get(kind, "var(--other)")


def family(name: str) -> tuple[str, str, str]:
    """Name, colour and symbol of a family of networks in published accuracies."""
    return _FAMILIES.get(name, (name, "var(--other)", "x"))
