"""All registered names that commands accept."""

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
        "purposes": {
            "references": {name: framework.what for name, framework in REFERENCES.items()},
            "contenders": {name: framework.what for name, framework in THIRD_PARTY.items()},
            "scenarios": {name: scenario.description for name, scenario in SCENARIOS.items()},
            "recipes": dict(RECIPES),
            "precisions": dict(PRECISIONS),
            "presets": {name: preset.purpose for name, preset in PRESETS.items()},
        },
        "versions": {name: _versions(name) for name in IMPLEMENTATIONS},
    }


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
