"""What a recipe wants of its process before its framework is imported: the allocator, and a number of threads.

Imports no framework.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from frameworks import allocator
from frameworks.recipes import AUTOMATIC, Recipe, recipe
from frameworks.runtime import FRAMEWORKS, Substitution

VARIABLES: Final[Mapping[str, str]] = {"tensorflow": "TF_NUM_INTRAOP_THREADS", "jax": "NPROC"}
"""Where a framework reads its number of threads as it starts, unless it takes one later."""


def begin(framework: str, text: str, device: str) -> None:
    """Does it. framework: a contender is left alone."""
    if framework not in FRAMEWORKS:
        return
    chosen = recipe(framework, text, device)
    allocator.prepared(chosen)
    wanted = chosen.choices["threads"]
    if framework in VARIABLES and wanted != AUTOMATIC and framework not in sys.modules:
        os.environ[VARIABLES[framework]] = wanted


def prepared(framework: str, chosen: Recipe) -> tuple[Substitution, ...]:
    """Once the framework is there: what it could not be given. The allocator can still be told."""
    lacking = allocator.prepared(chosen)
    wanted = chosen.choices["threads"]
    if framework not in VARIABLES or wanted == AUTOMATIC or os.environ.get(VARIABLES[framework]) == wanted:
        return lacking
    why = "the framework had started its own before the recipe was known"
    return (*lacking, Substitution(f"{wanted} threads", why, "as many as it chose"))
