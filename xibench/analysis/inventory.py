"""All registered names that commands accept, and the fields of a network's variants."""

from __future__ import annotations

import sys
from typing import Any


def inventory() -> dict[str, Any]:
    """Collect the registered names, their descriptions, and the installed versions of each framework.

    Returns:
        The document of `xibench list --json`. `versions` maps each framework and third-party implementation to the
        versions of its distributions, None for a distribution that is not installed.
    """
    from frameworks.api import FRAMEWORKS, IMPLEMENTATIONS, REFERENCES, THIRD_PARTY
    from frameworks.architectures import MODELS, OPERATORS
    from frameworks.architectures.operators import SHAPES
    from frameworks.recipes import PRECISIONS, RECIPES
    from xibench.run.plan import PRESETS
    from xibench.scenarios import SCENARIOS

    return {
        "models": [{"name": name, "variants": list(model.variants)} for name, model in MODELS.items()],
        "operators": [{"name": name, "variants": list(model.variants)} for name, model in OPERATORS.items()],
        "frameworks": list(FRAMEWORKS),
        "references": list(REFERENCES),
        "contenders": list(THIRD_PARTY),
        "scenarios": list(SCENARIOS),
        "recipes": list(RECIPES),
        "precisions": list(PRECISIONS),
        "presets": list(PRESETS),
        "shapes": {name: _shape(name) for name in SHAPES},
        "purposes": {
            "models": {name: model.what for name, model in MODELS.items()},
            "operators": {name: operator.what for name, operator in OPERATORS.items()},
            "references": {name: framework.what for name, framework in REFERENCES.items()},
            "contenders": {name: framework.what for name, framework in THIRD_PARTY.items()},
            "scenarios": {name: scenario.description for name, scenario in SCENARIOS.items()},
            "recipes": dict(RECIPES),
            "precisions": dict(PRECISIONS),
            "presets": {name: preset.purpose for name, preset in PRESETS.items()},
        },
        "versions": {name: _versions(name) for name in IMPLEMENTATIONS},
    }


def variants_of(model: str) -> dict[str, Any]:
    """Describe the variants of one network or operator and the fields that they are made of.

    Returns:
        The document of `xibench list MODEL --json`. `variants` maps each name to the fields that it sets. `fields`
        holds, for each field that `--variant` can set, its name, the values that it takes in words, its default, its
        meaning, and the networks or operators that have it.

    Raises:
        UnknownName: No network or operator has this name.
    """
    from frameworks.architectures import MODELS, NETWORKS, OPERATORS, network, variant_fields

    default = network(model).config  # raises UnknownName
    alike = MODELS if model in MODELS else OPERATORS  # a field of the same name means something else in the others
    return {
        "name": model,
        "what": NETWORKS[model].what,
        "variants": {name: dict(fields) for name, fields in NETWORKS[model].variants.items()},
        "fields": [
            {
                "name": field.name,
                "takes": field.takes,
                "default": getattr(default, field.name),
                "meaning": field.meaning,
                "networks": [name for name in alike if field.name in variant_fields(name)],
            }
            for field in variant_fields(model).values()
        ],
    }


def _shape(variant: str) -> dict[str, int]:
    from frameworks.architectures import network

    config = network("separable", variant).config
    return {"resolution": config.resolution, "channels": config.channels, "features": config.features}


def _versions(framework: str) -> dict[str, str | None]:
    """Read the versions of a framework's distributions from the site-packages of the interpreter of its workers."""
    from importlib import metadata
    from pathlib import Path

    from frameworks.api import find
    from xibench.workers.session import interpreter

    python = Path(interpreter(framework))
    site = python.parents[1].glob("lib/python*/site-packages")
    own = None if str(python) == sys.executable else [str(folder) for folder in site]
    found = {}
    for name in find(framework).distributions:
        places = metadata.distributions(name=name) if own is None else metadata.distributions(name=name, path=own)
        found[name] = next((distribution.version for distribution in places), None)
    return found
