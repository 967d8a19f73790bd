"""Descriptor of the reference in NumPy, which defines correctness and does not compete in speed; does not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frameworks.api import Framework, Prepares, Verifiable
from frameworks.recipes import Setting

if TYPE_CHECKING:
    from frameworks.reference import program

    _prepares: Prepares = program
    _verifiable: Verifiable = program

DEFINITION: Final = (Setting("NumPy", "each layer as its definition, one after another"),)
REFERENCE: Final = Framework(
    name="reference",
    label="NumPy (reference)",
    what="the definition of each layer, in NumPy and float64",
    colour=("#6b7280", "#9aa3af"),
    program="frameworks.reference.program",
    module="numpy",
    install="pip install xibench",
    distributions=("numpy",),
    origin="reference",
    settings={"default": DEFINITION},
    distinct_recipes=("default",),
    precisions=("fp64", "fp32"),
    devices=("cpu",),
)
