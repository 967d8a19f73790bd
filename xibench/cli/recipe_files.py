"""Recipes as commands take them: names, and files that `xibench tune` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xibench.errors import UsageError


def with_files(options: Mapping[str, Any]) -> dict[str, Any]:
    """A selection's options with each recipe file in `recipes` replaced by the recipe in it.

    Its framework, and its batch where the search was over batches, hold unless others were typed.
    Raises InputError for a file that is none, UsageError for a framework that it is not for.
    """
    from xibench.record.recipe_file import SUFFIX, read

    names = options["recipes"] or ()
    files = {name: read(name) for name in names if name.endswith(SUFFIX)}
    if not files:
        return dict(options)
    (first, chosen), *others = files.items()
    wanted = options["frameworks"] or (chosen.framework,)
    for name, found in ((first, chosen), *others):
        if set(wanted) != {found.framework}:
            raise UsageError(
                f"--recipe {name}: it is a recipe for {found.framework}; received --framework {', '.join(wanted)}, "
                f"expected {found.framework} alone"
            )
    batches = options["batches"] or tuple(dict.fromkeys(found.batch for found in files.values() if found.batch))
    recipes = tuple(files[name].recipe if name in files else name for name in names)
    return {**options, "recipes": recipes, "frameworks": wanted, "batches": batches}
